//! Q1, Q2, Q4, Q12, Q21: random operations as faults come and go; and single promises while one stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use queue_core::backend::{Beat, Settled, Verdict};
use queue_core::{ErrorKind, JobId, State, WorkerId};
use tokio::time::sleep;

use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::fault::{Fault, Manner, OUTAGES, STANDSTILLS};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::{in_time, passes, works_again};
use crate::conformance::session::{
    EXPIRY, Session, TICK, bury, complete, complete_with, release, retry, snooze,
};

cases! {
    Fault q01_random_operations_lose_nothing_as_a_fault_comes_and_goes on OUTAGES,
    Fault q02_what_was_refused_never_appears on REFUSALS,
    Fault q12_a_worker_outlives_a_fault_that_is_shorter_than_its_expiry on STANDSTILLS,
    Fault q21_opening_under_a_fault_ends_in_time_and_works_afterwards [MultiProcess] on STANDSTILLS,
}

/// Those of [`STANDSTILLS`] under which a handle learns at some time that a write was not done.
const REFUSALS: &[Fault] = &[Fault::Locked, Fault::Refused, Fault::Stopped, Fault::Crashed, Fault::ReadOnly];

/// How many tasks do random things.
const TASKS: usize = 6;
/// How often the fault comes and goes, at least and at most.
const ROUNDS: u32 = 3;
const MOST_ROUNDS: u32 = 200;
/// How many failures show that the fault was felt.
const ENOUGH_FAILURES: u64 = 6;
const PAUSE: Duration = Duration::from_millis(3);
/// How long a fault stands that nobody feels.
const LONGEST_STAND: Duration = Duration::from_secs(3);

/// Six tasks on two handles insert, claim, settle, cancel and look at random, leave their workers to their
/// fate, let time pass, and rescue what workers that expired held; what failed for now they do again.
/// The fault comes and goes, leases being rescued between, until it has been felt, a lease was lost, and an outcome was unknown
/// where the fault leaves one open: a run without these has shown nothing. That nothing was lost, made up, or leased twice is
/// what the history shows.
async fn q01_random_operations_lose_nothing_as_a_fault_comes_and_goes(kit: &Kit) -> CaseResult {
    let (fault, seed) = (kit.fault()?, kit.seed());
    let handles = kit.two_impatient().await?;
    kit.insert_one(kit.spec("job")).await?;
    let over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (handle, over) = (Arc::clone(&handles[task % 2]), Arc::clone(&over));
            let random = Random::new(seed.wrapping_add(task as u64));
            tokio::spawn(async move { wander(&handle, random, &over).await })
        })
        .collect();
    let mut random = Random::new(seed.wrapping_mul(31));
    let outcome = come_and_go(kit, &mut random).await;
    over.store(true, Ordering::SeqCst);
    for task in tasks {
        in_time("a task to end", task).await??.map_err(|error| anyhow!("a task failed: {error:#}"))?;
    }
    outcome?;
    let history = kit.history();
    if fault.is_ridden_through() {
        ensure!(history.passing_failures() == 0, "somebody noticed the fault: {history:?}");
    }
    kit.works_again().await
}

/// Whether requests that are under way when the fault comes are of unknown outcome.
fn leaves_doubt(fault: Fault) -> bool {
    fault.manner() == Manner::Moment
        || matches!(fault, Fault::Refused | Fault::Stopped | Fault::Crashed | Fault::Silent | Fault::Late)
}

async fn come_and_go(kit: &Kit, random: &mut Random) -> CaseResult {
    let (fault, history) = (kit.fault()?, kit.history());
    for round in 0..MOST_ROUNDS {
        let is_felt = fault.is_ridden_through()
            || history.passing_failures() >= ENOUGH_FAILURES
                && (!leaves_doubt(fault) || history.unknown_outcomes() > 0);
        if round >= ROUNDS && is_felt && history.leases_lost() > 0 {
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
            while !fault.is_ridden_through()
                && history.passing_failures() == before
                && start.elapsed() < LONGEST_STAND
            {
                sleep(PAUSE).await;
            }
            sleep(Duration::from_millis(random.below(150))).await;
        }
        broken.mend().await?;
    }
    bail!("after {MOST_ROUNDS} rounds the fault was not felt, or no lease was lost: {history:?}")
}

/// Numbers from a seed.
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

async fn wander(handle: &Session, mut random: Random, over: &AtomicBool) -> CaseResult {
    let mut worker = None;
    let mut jobs: Vec<JobId> = Vec::new();
    let mut stale = None;
    while !over.load(Ordering::SeqCst) {
        let outcome = match random.below(12) {
            0..4 => insert(handle, &mut random, &mut jobs).await,
            4..9 => work(handle, &mut random, &mut worker, &mut stale).await,
            9 => passing(
                handle.cancel_running(*pick(&mut random, &jobs).unwrap_or(&handle.id_at(handle.now()))).await,
            ),
            10 => {
                handle.advance(EXPIRY / 10);
                passing(handle.rescue(10).await)
            }
            _ => match pick(&mut random, &jobs) {
                Some(job) => passing(handle.find(*job).await),
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

/// What failed for now is no failure of the case.
fn passing<T>(outcome: anyhow::Result<T>) -> CaseResult {
    match outcome {
        Err(error) if !passes(&error) => Err(error),
        _ => Ok(()),
    }
}

/// A batch, which is inserted once more if it failed for now, and perhaps even if it did not.
async fn insert(handle: &Session, random: &mut Random, jobs: &mut Vec<JobId>) -> CaseResult {
    let specs: Vec<_> = (0..=random.below(4)).map(|_| handle.spec("job").max_retries(500)).collect();
    for spec in &specs {
        jobs.push(spec.clone().build()?.id);
    }
    for _ in 0..=random.below(2) {
        if let Err(error) = handle.try_insert(specs.clone()).await? {
            ensure!(error.is_retryable(), "an insert failed for good: {error:?}");
        }
    }
    Ok(())
}

/// A few jobs are claimed and settled one by one, or the worker is left to expire; a verdict is given again if it failed for
/// now, and once more for a lease that has ended.
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
            Err(error) => ensure!(error.is_retryable(), "a worker could not be entered: {error:?}"),
        }
        return Ok(());
    };
    if random.below(3) == 0
        && let Err(error) = handle.try_heartbeat(known).await?
    {
        return lost_or_passing(worker, &error);
    }
    let claim = handle.new_claim_id();
    let claimed = handle.claiming(known, 3).claim_id(claim).attempt().await?;
    let jobs = match claimed {
        Ok(reply) => reply.jobs,
        Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
            match handle.try_leases(known, claim).await {
                Ok(jobs) => jobs,
                Err(error) if error.is_retryable() => Vec::new(),
                Err(error) => bail!("leases could not be listed: {error:?}"),
            }
        }
        Err(error) => return lost_or_passing(worker, &error),
    };
    if random.below(8) == 0 {
        // As one that has crashed.
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
                Err(error) => ensure!(error.is_retryable(), "a settle failed for good: {error:?}"),
            }
        }
        if let Some((token, end)) = stale.replace((job.token, end))
            && let Err(error) = handle.try_settle(vec![(token, end)]).await?
        {
            ensure!(error.is_retryable(), "a stale settle failed for good: {error:?}");
        }
    }
    Ok(())
}

/// A worker that was given up begins anew.
fn lost_or_passing(worker: &mut Option<WorkerId>, error: &queue_core::Error) -> CaseResult {
    match error.kind() {
        ErrorKind::WorkerLost => *worker = None,
        _ => ensure!(error.is_retryable(), "a worker's request failed for good: {error:?}"),
    }
    Ok(())
}

/// Not while the fault stands, not after it, not when the handle goes on.
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
    // The first of them may have been on their way. Who waits for a lock may never learn more than that.
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
        ensure!(phantom.is_none(), "job {phantom:?} was refused, and is there");
    }
    Ok(())
}

/// Its heartbeats fail, honestly; the first that comes through finds the worker alive, with all that it holds.
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
        "the heartbeat under the fault did not fail for now"
    );
    let beat = persist("heartbeat", || handle.try_heartbeat(worker)).await??;
    kit.works_again().await?;
    ensure_eq!((beat.beat, beat.leases), (Beat::InTime, 3), "the heartbeat, and leases");
    // Without that heartbeat it had expired long ago.
    kit.advance(EXPIRY - TICK);
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "leases taken from a worker that lives");
    let answers = kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    ensure_eq!(answers, [Settled::Done; 3], "the settles");
    for job in jobs {
        ensure_eq!(kit.state(job).await?, State::Completed, "the state of job {job}");
    }
    Ok(())
}

/// A second handle: if it cannot be had, the error says so honestly; once the fault is gone it can.
async fn q21_opening_under_a_fault_ends_in_time_and_works_afterwards(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job")).await?;
    let broken = kit.inject(&[]).await?;
    let opened = in_time("a second handle", kit.open_second_under_the_fault()).await?;
    broken.mend().await?;
    if let Err(error) = opened {
        let text = format!("{error:#}");
        let cause = error.downcast_ref::<queue_core::Error>();
        ensure!(cause.is_none_or(queue_core::Error::is_retryable), "opening failed for good: {text}");
        ensure!(cause.is_some(), "opening failed by an error of another kind: {text}");
    }
    let second = in_time("a second handle", kit.open_second()).await??;
    works_again(&second).await?;
    kit.works_again().await
}
