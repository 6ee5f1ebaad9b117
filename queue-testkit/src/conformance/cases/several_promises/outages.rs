//! Q1, Q2, Q4, Q12, Q21: random operations while a fault is injected and removed, and single
//! promises during a fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use queue_core::backend::{Beat, Settled, Verdict};
use queue_core::{ErrorKind, JobId, JobState, WorkerId};
use tokio::time::sleep;

use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::fault::{Fault, Manner, OUTAGES, STANDSTILLS};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::{is_retryable, works_again};
use crate::conformance::pass::not_shown;
use crate::conformance::session::{
    EXPIRY, Session, TICK, bury, complete, complete_with, release, retry, snooze,
};
use crate::conformance::wait::in_time;

cases! {
    Fault q01_random_operations_lose_nothing_as_a_fault_comes_and_goes on OUTAGES,
    Fault q02_what_was_refused_never_appears on REFUSALS,
    Fault q12_a_worker_outlives_a_fault_that_is_shorter_than_its_expiry on STANDSTILLS,
    Fault q21_opening_under_a_fault_ends_in_time_and_works_afterwards [MultiProcess] on STANDSTILLS,
}

/// The faults of [`STANDSTILLS`] under which a caller learns that a write was not done.
const REFUSALS: &[Fault] = &[Fault::Locked, Fault::Refused, Fault::Stopped, Fault::Crashed, Fault::ReadOnly];

/// The number of tasks with random operations.
const TASKS: usize = 6;
/// The least number of faults that are injected.
const ROUNDS: u32 = 3;
const MOST_ROUNDS: u32 = 200;
/// This many failures show that the fault has an effect.
const ENOUGH_FAILURES: u64 = 6;
const PAUSE: Duration = Duration::from_millis(3);
/// The longest time that a fault lasts if no request fails.
const LONGEST_FAULT: Duration = Duration::from_secs(3);

/// Six tasks on two handles insert, claim, settle, cancel and read at random, and abandon workers.
/// They retry requests that failed temporarily.
///
/// The fault is injected and removed until requests have failed, a lease was lost, and an outcome
/// was unknown where the fault permits it. The history check must find no lost job, no phantom job
/// and no double lease.
async fn q01_random_operations_lose_nothing_as_a_fault_comes_and_goes(kit: &Kit) -> CaseResult {
    let (fault, seed) = (kit.fault()?, kit.seed());
    let handles = kit.two_impatient().await?;
    kit.insert_one(kit.spec("job")).await?;
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (handle, over) = (Arc::clone(&handles[task % 2]), Arc::clone(&over));
            let random = Random::new(seed.wrapping_add(task as u64));
            tokio::spawn(async move { do_random_operations(&handle, random, &over).await })
        })
        .collect();
    let mut random = Random::new(seed.wrapping_mul(31));
    let outcome = inject_and_mend_repeatedly(kit, &mut random).await;
    over.store(true, Ordering::SeqCst);
    for task in tasks {
        in_time("a task to end", task).await??.map_err(|error| anyhow!("a task failed: {error:#}"))?;
    }
    outcome?;
    let history = kit.history();
    if fault.is_hidden_from_callers() {
        ensure!(
            history.passing_failures() == 0,
            "requests failed under a fault that must not be noticed: {history:?}"
        );
    }
    kit.works_again().await
}

/// Whether the fault leaves requests in flight with an unknown outcome.
fn leaves_doubt(fault: Fault) -> bool {
    fault.manner() == Manner::Moment
        || matches!(fault, Fault::Refused | Fault::Stopped | Fault::Crashed | Fault::Silent | Fault::Late)
}

async fn inject_and_mend_repeatedly(kit: &Kit, random: &mut Random) -> CaseResult {
    let (fault, history) = (kit.fault()?, kit.history());
    for round in 0..MOST_ROUNDS {
        let has_effect = fault.is_hidden_from_callers()
            || history.passing_failures() >= ENOUGH_FAILURES
                && (!leaves_doubt(fault) || history.unknown_outcomes() > 0);
        if round >= ROUNDS && has_effect && history.leases_lost() > 0 {
            return Ok(());
        }
        let rescues = history.rescues();
        in_time("leases to be rescued", async {
            while history.rescues() == rescues {
                sleep(PAUSE).await;
            }
        })
        .await?;
        sleep(Duration::from_millis(random.below(60))).await;
        let before = history.passing_failures();
        let broken = kit.inject(&[]).await?;
        if fault.manner() == Manner::Lasting {
            let start = Instant::now();
            while !fault.is_hidden_from_callers()
                && history.passing_failures() == before
                && start.elapsed() < LONGEST_FAULT
            {
                sleep(PAUSE).await;
            }
            sleep(Duration::from_millis(random.below(150))).await;
        }
        broken.mend().await?;
    }
    Err(not_shown(format!(
        "requests shall fail and leases be lost; after {MOST_ROUNDS} outages: {history:?}"
    )))
}

/// Random numbers from a seed.
struct Random(TestRng);

impl Random {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }
}

async fn do_random_operations(handle: &Session, mut random: Random, over: &AtomicBool) -> CaseResult {
    let mut worker = None;
    let mut jobs: Vec<JobId> = Vec::new();
    let mut stale = None;
    while !over.load(Ordering::SeqCst) {
        let outcome = match random.below(12) {
            0..4 => insert(handle, &mut random, &mut jobs).await,
            4..9 => work(handle, &mut random, &mut worker, &mut stale).await,
            9 => accept_temporary(
                handle.cancel_running(*pick(&mut random, &jobs).unwrap_or(&handle.id_at(handle.now()))).await,
            ),
            10 => {
                handle.advance(EXPIRY / 10);
                accept_temporary(handle.rescue(10).await)
            }
            _ => match pick(&mut random, &jobs) {
                Some(job) => accept_temporary(handle.find(*job).await),
                None => Ok(()),
            },
        };
        outcome?;
        sleep(PAUSE).await;
    }
    Ok(())
}

fn pick<'a, T>(random: &mut Random, all: &'a [T]) -> Option<&'a T> {
    let place = random.below(all.len().max(1) as u64);
    all.get(usize::try_from(place).unwrap_or_default())
}

/// Accepts a temporary failure.
fn accept_temporary<T>(outcome: anyhow::Result<T>) -> CaseResult {
    match outcome {
        Err(error) if !is_retryable(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Inserts a batch. Repeats the insert at random, whether or not it failed temporarily.
async fn insert(handle: &Session, random: &mut Random, jobs: &mut Vec<JobId>) -> CaseResult {
    let specs: Vec<_> = (0..=random.below(4)).map(|_| handle.spec("job").max_retries(500)).collect();
    for spec in &specs {
        jobs.push(spec.clone().build()?.id);
    }
    for _ in 0..=random.below(2) {
        if let Err(error) = handle.try_insert(specs.clone()).await? {
            ensure!(error.is_retryable(), "an insert failed with an error that is not retryable: {error:?}");
        }
    }
    Ok(())
}

/// Claims a few jobs and settles each, or abandons the worker. Repeats a settle that failed
/// temporarily, and sometimes one of an ended lease.
async fn work(
    handle: &Session,
    random: &mut Random,
    worker: &mut Option<WorkerId>,
    stale: &mut Option<(queue_core::Token, Verdict)>,
) -> CaseResult {
    let Some(known) = *worker else {
        let new = handle.new_worker_id();
        match handle.try_register(new).await? {
            Ok(()) => *worker = Some(new),
            Err(error) => ensure!(
                error.is_retryable(),
                "a registration failed with an error that is not retryable: {error:?}"
            ),
        }
        return Ok(());
    };
    if random.below(3) == 0
        && let Err(error) = handle.try_heartbeat(known).await?
    {
        return lost_or_temporary(worker, &error);
    }
    let claim = handle.new_claim_id();
    let claimed = handle.claiming(known, 3).claim_id(claim).attempt().await?;
    let jobs = match claimed {
        Ok(reply) => reply.jobs,
        Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
            match handle.try_leases(known, claim).await {
                Ok(jobs) => jobs,
                Err(error) if error.is_retryable() => Vec::new(),
                Err(error) => bail!("leases failed with an error that is not retryable: {error:?}"),
            }
        }
        Err(error) => return lost_or_temporary(worker, &error),
    };
    if random.below(8) == 0 {
        // The worker is abandoned, as after a crash.
        *worker = None;
        return Ok(());
    }
    for job in jobs {
        let result = random.below(1000).to_string();
        let end = match random.below(8) {
            0 => release(),
            1 => snooze(0),
            2 => retry("failed", 0),
            3 => bury("hopeless"),
            _ => complete_with(result.as_bytes()),
        };
        for _ in 0..3 {
            match handle.try_settle(vec![(job.token, end.clone())]).await? {
                Ok(_) => break,
                Err(error) => ensure!(
                    error.is_retryable(),
                    "a settle failed with an error that is not retryable: {error:?}"
                ),
            }
        }
        if let Some((token, end)) = stale.replace((job.token, end))
            && let Err(error) = handle.try_settle(vec![(token, end)]).await?
        {
            ensure!(
                error.is_retryable(),
                "a stale settle failed with an error that is not retryable: {error:?}"
            );
        }
    }
    Ok(())
}

/// Drops the worker if it is lost, so that a new one registers. Accepts a temporary failure.
fn lost_or_temporary(worker: &mut Option<WorkerId>, error: &queue_core::Error) -> CaseResult {
    match error.kind() {
        ErrorKind::WorkerLost => *worker = None,
        _ => ensure!(
            error.is_retryable(),
            "a worker's request failed with an error that is not retryable: {error:?}"
        ),
    }
    Ok(())
}

/// Inserts fail under the fault with a known outcome. None of their jobs may ever be stored,
/// neither during the fault nor after it.
async fn q02_what_was_refused_never_appears(kit: &Kit) -> CaseResult {
    let broken = kit.inject(&[]).await?;
    let mut refused: Vec<JobId> = Vec::new();
    let inserts: Vec<_> = (0..8)
        .map(|_| {
            let (handle, specs) = (kit.impatient(), vec![kit.spec("job"), kit.spec("job")]);
            tokio::spawn(async move { (handle.try_insert(specs.clone()).await, specs) })
        })
        .collect();
    for insert in inserts {
        let (answer, specs) = in_time("an insert", insert).await??;
        match answer? {
            Ok(_) => bail!("an insert under the fault succeeded"),
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => {}
            Err(_) => {
                for spec in specs {
                    refused.push(spec.build()?.id);
                }
            }
        }
    }
    // The first inserts may have been in flight. An insert that waits for a lock may always have an
    // unknown outcome.
    let is_refused_at_last = kit.fault()? != Fault::Locked;
    in_time("an insert to be refused", async {
        while is_refused_at_last && refused.is_empty() {
            let spec = kit.spec("job");
            match kit.impatient().try_insert(vec![spec.clone()]).await? {
                Ok(_) => bail!("an insert under the fault succeeded"),
                Err(error) if error.kind() == ErrorKind::UnknownOutcome => {}
                Err(_) => refused.push(spec.build()?.id),
            }
        }
        Ok(())
    })
    .await??;
    broken.mend().await?;
    let handle = kit.impatient();
    persist("insert", || handle.try_insert(vec![kit.spec("job")])).await??;
    for _ in 0..5 {
        kit.works_again().await?;
        let stored = kit.stored().await?.jobs;
        let phantom = refused.iter().find(|job| stored.contains(job));
        ensure!(phantom.is_none(), "job {phantom:?} is stored although its insert failed");
    }
    Ok(())
}

/// A fault is shorter than a worker's expiry. Heartbeats under it must fail as retryable, and the
/// next one must find the worker alive with its leases.
async fn q12_a_worker_outlives_a_fault_that_is_shorter_than_its_expiry(kit: &Kit) -> CaseResult {
    let jobs = kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let worker = kit.worker().await?;
    let held = kit.claim(worker, 3).await?;
    kit.advance(EXPIRY - TICK);
    let handle = kit.impatient();
    let broken = kit.inject(&[]).await?;
    let beat = in_time("a heartbeat", handle.try_heartbeat(worker)).await??;
    broken.mend().await?;
    ensure!(
        beat.is_err_and(|error| error.is_retryable()),
        "the heartbeat under the fault did not fail as retryable"
    );
    let beat = persist("heartbeat", || handle.try_heartbeat(worker)).await??;
    kit.works_again().await?;
    ensure_eq!(
        (beat.beat, beat.leases),
        (Beat::InTime, 3),
        "the result of the heartbeat, and the number of leases"
    );
    // Without that heartbeat the worker would have expired.
    kit.advance(EXPIRY - TICK);
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of leases rescued from a live worker");
    let answers = kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    ensure_eq!(answers, [Settled::Done; 3], "the replies to the settles");
    for job in jobs {
        ensure_eq!(kit.state(job).await?, JobState::Completed, "the state of job {job}");
    }
    Ok(())
}

/// A second handle is opened under the fault. If that fails, the error must be retryable, and
/// opening must succeed after the fault.
async fn q21_opening_under_a_fault_ends_in_time_and_works_afterwards(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job")).await?;
    let broken = kit.inject(&[]).await?;
    let opened = in_time("a second handle", kit.open_second_under_the_fault()).await?;
    broken.mend().await?;
    if let Err(error) = opened {
        let text = format!("{error:#}");
        let cause = error.downcast_ref::<queue_core::Error>();
        ensure!(
            cause.is_none_or(queue_core::Error::is_retryable),
            "opening failed with an error that is not retryable: {text}"
        );
        ensure!(cause.is_some(), "opening failed with an error that is not a `queue_core::Error`: {text}");
    }
    let second = in_time("a second handle", kit.open_second()).await??;
    works_again(&second).await?;
    kit.works_again().await
}
