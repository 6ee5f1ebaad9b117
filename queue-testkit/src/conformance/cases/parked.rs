//! Claims that wait at a handle for what is entered through it: as good as any others, and never in the way of an insert.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{InsertRequest, ParkedClaim, Room, Settled};
use queue_core::{Enqueuer as _, ErrorKind, JobId, State, WorkerId};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::doubts::in_doubt;
use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::{DOUBTS, Fault};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::in_time;
use crate::conformance::program::{Program, Started, new_job, stop};
use crate::conformance::race::race;
use crate::conformance::session::{EXPIRY, Session, complete, queue};

cases! {
    Fast q01_jobs_are_stored_whatever_becomes_of_a_parked_claim [Parking],
    Fast q03_a_parked_claim_is_made_with_the_insert [Parking],
    Fast q05_a_parked_claim_takes_nothing_of_a_batch_that_fails [Parking],
    Fast q07_a_parked_claim_ends_before_too_many_last_attempts [Parking],
    Fast q13_a_parked_claim_takes_the_first_of_all [Parking],
    Fast q14_a_parked_claim_takes_nothing_before_its_time [Parking],
    Fast q17_a_parked_claim_takes_nothing_of_a_paused_queue [Parking, Manage],
    Fast q19_what_a_parked_claim_leaves_wakes_others [Parking],
    Race q03_parked_claims_and_others_share_no_job [Parking],
    Fault q03_an_idle_worker_finds_what_it_was_given_without_an_answer [Parking] on LOST,
    Fault q16_an_insert_of_unknown_outcome_and_its_parked_claim_agree [Parking] on DOUBTS,
}

const LOST: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost];

/// What each task of a race does so often.
const TURNS: usize = 60;

/// Enough for any case.
const ROOM: Room = Room { limit: 10, last_attempts: 10 };

/// The jobs that a parked claim took.
async fn taken(claim: ParkedClaim) -> anyhow::Result<Vec<JobId>> {
    let answer = claim.withdraw().await.context("the parked claim was not made")?;
    Ok(answer.reply?.jobs.iter().map(|job| job.token.job).collect())
}

/// It is told that its worker was given up; others find the job.
async fn q01_jobs_are_stored_whatever_becomes_of_a_parked_claim(kit: &Kit) -> CaseResult {
    let (lost, other) = (kit.worker().await?, kit.worker().await?);
    let held = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(lost).await?;
    kit.advance(EXPIRY);
    kit.try_heartbeat(other).await??;
    kit.rescue(10).await?;
    kit.claim_one(other).await?;
    let mut claim = kit.claiming(lost, 5).park(ROOM)?;
    let id = kit.insert_one(kit.spec("job")).await?;
    if let Some(answer) = claim.answered().await {
        fails_with(answer.reply, ErrorKind::WorkerLost)?;
    }
    ensure_eq!(kit.claim_one(other).await?.token.job, id, "the job that another worker finds");
    ensure_eq!(kit.state(held).await?, State::Running, "the state of the job that was there");
    Ok(())
}

async fn q03_a_parked_claim_is_made_with_the_insert(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let name = kit.new_claim_id();
    kit.knows_kind(&"job".parse()?);
    let claim = kit.claiming(worker, 5).claim_id(name).park(ROOM)?;
    let jobs = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(3), kit.spec("job")]).await?;
    let answer = claim.withdraw().await.context("the parked claim was not made")?;
    let leases = answer.reply?.jobs;
    let order: Vec<JobId> = leases.iter().map(|job| job.token.job).collect();
    ensure_eq!(order, [jobs[1], jobs[0], jobs[2]], "the jobs in the order of claims");
    ensure_eq!(kit.leases(worker, name).await?, leases, "the leases by the name of the claim");
    ensure!(kit.claim(kit.worker().await?, 5).await?.is_empty(), "a job was given twice");
    for lease in leases {
        ensure_eq!(lease.attempt, 1, "the attempt");
        ensure_eq!(kit.settle_one(lease.token, complete()).await?, Settled::Done, "the settle");
    }
    Ok(())
}

/// Nor does the batch fail otherwise than without it.
async fn q05_a_parked_claim_takes_nothing_of_a_batch_that_fails(kit: &Kit) -> CaseResult {
    let known = kit.insert_one(kit.spec("job").queue("elsewhere")).await?;
    let mut claim = kit.claiming(kit.worker().await?, 5).park(ROOM)?;
    let batch = vec![kit.spec("job"), kit.spec("job").id(known)];
    fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
    if let Some(answer) = claim.answered().await {
        ensure!(answer.reply?.jobs.is_empty(), "a job of a batch that failed was taken");
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 1, "jobs");
    Ok(())
}

async fn q07_a_parked_claim_ends_before_too_many_last_attempts(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let room = Room { limit: 5, last_attempts: 1 };
    let claim = kit.claiming(kit.worker().await?, 5).park(room)?;
    let jobs = kit.insert((0..3).map(|_| kit.spec("job").max_retries(0)).collect()).await?;
    ensure_eq!(taken(claim).await?, [jobs[0]], "the jobs on their last attempt that were taken");
    ensure_eq!(kit.state(jobs[1]).await?, State::Ready, "the state of the next");
    Ok(())
}

/// Though another one had it made.
async fn q13_a_parked_claim_takes_the_first_of_all(kit: &Kit) -> CaseResult {
    let before = kit.insert_one(kit.spec("job").priority(5)).await?;
    let claim = kit.claiming(kit.worker().await?, 1).park(ROOM)?;
    let jobs = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(4)]).await?;
    ensure_eq!(taken(claim).await?, [before], "the job that was taken");
    let rest = kit.claim(kit.worker().await?, 5).await?;
    let rest: Vec<JobId> = rest.iter().map(|job| job.token.job).collect();
    ensure_eq!(rest, [jobs[1], jobs[0]], "the jobs that were left");
    Ok(())
}

async fn q14_a_parked_claim_takes_nothing_before_its_time(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let claim = kit.claiming(kit.worker().await?, 5).park(ROOM)?;
    let soon = kit.now().saturating_add(Duration::from_micros(1));
    let later = kit.insert_one(kit.spec("job").run_at(soon).priority(9)).await?;
    let jobs = kit.insert(vec![kit.spec("job").run_at(soon), kit.spec("job")]).await?;
    ensure_eq!(taken(claim).await?, [jobs[1]], "the jobs that were taken");
    for job in [later, jobs[0]] {
        ensure_eq!(kit.state(job).await?, State::Scheduled, "the state of a job that is not due");
    }
    Ok(())
}

async fn q17_a_parked_claim_takes_nothing_of_a_paused_queue(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let mut claim = kit.claiming(kit.worker().await?, 5).park(ROOM)?;
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&queue("default")?).await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    if let Some(answer) = claim.answered().await {
        ensure!(answer.reply?.jobs.is_empty(), "a paused queue gave a job");
    }
    ensure_eq!(kit.state(id).await?, State::Ready, "the state of the job");
    manage.resume(&queue("default")?).await?;
    ensure_eq!(kit.claim_one(kit.worker().await?).await?.token.job, id, "the job, once resumed");
    Ok(())
}

/// Those that it had no room for, and those that are due later.
async fn q19_what_a_parked_claim_leaves_wakes_others(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let mut wakes = kit.backend()?.subscribe();
    let claim = kit.claiming(kit.worker().await?, 5).park(Room { limit: 1, last_attempts: 1 })?;
    let soon = kit.now().saturating_add(Duration::from_secs(7));
    let specs = vec![kit.spec("job"), kit.spec("job").priority(2), kit.spec("job").run_at(soon)];
    let jobs = kit.insert(specs).await?;
    ensure_eq!(taken(claim).await?, [jobs[1]], "the job that was taken");
    let (mut is_told, mut due) = (false, false);
    in_time("the wake-ups", async {
        while !(is_told && due) {
            let told = wakes.recv().await;
            is_told |= told.unknown || told.ready.iter().any(|hint| hint.priority == 0);
            due |= told.unknown || told.due_in.is_some();
        }
    })
    .await
}

/// Some enter jobs one by one, some wait for them, and some look for them.
async fn q03_parked_claims_and_others_share_no_job(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let handles = kit.handles(2).await?;
    let mut tasks = Vec::new();
    for task in 0..6 {
        let handle = Arc::clone(&handles[task % 2]);
        let worker = kit.worker().await?;
        tasks.push(async move {
            if task < 2 { enter(&handle).await } else { claim_in_both_ways(&handle, worker, task).await }
        });
    }
    let mut seen = race(tasks).await?.concat();
    seen.extend(kit.claim(kit.worker().await?, 200).await?.iter().map(|job| job.token.job));
    ensure_eq!(seen.len(), 2 * TURNS, "leases");
    ensure_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 2 * TURNS, "jobs that were leased");
    Ok(())
}

async fn enter(handle: &Session) -> anyhow::Result<Vec<JobId>> {
    for _ in 0..TURNS {
        handle.insert_one(handle.spec("job")).await?;
    }
    Ok(Vec::new())
}

async fn claim_in_both_ways(handle: &Session, worker: WorkerId, task: usize) -> anyhow::Result<Vec<JobId>> {
    let mut mine = Vec::new();
    for turn in 0..TURNS {
        if (task + turn).is_multiple_of(3) {
            mine.extend(handle.claim(worker, 2).await?.iter().map(|job| job.token.job));
            continue;
        }
        let claim = handle.claiming(worker, 2).park(ROOM)?;
        tokio::task::yield_now().await;
        if let Some(answer) = claim.withdraw().await {
            mine.extend(answer.reply?.jobs.iter().map(|job| job.token.job));
        }
    }
    Ok(mine)
}

/// Whoever enqueues does so again, and the job runs once, as its first attempt.
async fn q03_an_idle_worker_finds_what_it_was_given_without_an_answer(kit: &Kit) -> CaseResult {
    const KIND: &str = "a-kind-of-its-own";
    let handle = kit.impatient();
    let mut program = Program::new(&handle)?;
    program.on(KIND, |_, _| async { Ok(()) })?;
    let worker = program.start(2)?;
    let backend = handle.backend()?;
    let parking = backend.parking().context("the backend does not park claims")?;
    in_time("the worker to be idle", async {
        while parking.count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await?;
    let id = JobId::generate();
    let job = new_job(KIND, "{}")?.id(id);
    let broken = kit.inject(&id.to_bytes()).await?;
    let first = in_time("an answer", program.queue.submit(vec![job.clone()])).await?;
    broken.mend().await?;
    fails_with(first, ErrorKind::UnknownOutcome)?;
    let submit = || async { Ok(program.queue.submit(vec![job.clone()]).await) };
    persist("submit", submit).await??;
    program.ended(&[id]).await?;
    stop(worker).await?;
    ensure_eq!(program.next_start().await?, Started { id, attempt: 1 }, "the attempt that ran");
    ensure!(program.starts_so_far().is_empty(), "it ran more than once");
    Ok(())
}

/// The jobs are leased to it, or it has none; others get exactly the rest.
async fn q16_an_insert_of_unknown_outcome_and_its_parked_claim_agree(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    for _ in 0..4 {
        let (worker, name) = (kit.worker().await?, kit.new_claim_id());
        let specs = (0..3).map(|_| kit.spec("job").build()).collect::<queue_core::Result<Vec<_>>>()?;
        let jobs: BTreeSet<JobId> = specs.iter().map(|spec| spec.id).collect();
        let handle = kit.impatient();
        let backend = handle.backend()?;
        let request = InsertRequest::new(vec![specs.clone()]).at(kit.now());
        let insert = || async {
            let fates = backend.insert(request.clone()).await;
            Ok(fates.and_then(|mut fates| fates.remove(0)))
        };
        let parked = Mutex::new(None);
        let enter = || async {
            let claim = handle.claiming(worker, 2).claim_id(name).park(ROOM)?;
            let fate = insert().await;
            *parked.lock().await = Some(claim);
            fate
        };
        in_doubt(kit, &specs[1].id.to_bytes(), enter).await?;
        let claim = parked.into_inner().context("no claim was parked")?;
        let answer = claim.withdraw().await.context("the parked claim was not made")?;
        fails_with(answer.reply, ErrorKind::UnknownOutcome)?;
        let held = persist("leases", || async { Ok(handle.try_leases(worker, name).await) }).await??;
        let stored = kit.stored().await?.jobs.iter().filter(|job| jobs.contains(job)).count();
        match kit.fault()? {
            Fault::ReplyLost => ensure_eq!((stored, held.len()), (3, 2), "jobs and leases"),
            Fault::RequestLost => ensure_eq!((stored, held.len()), (0, 0), "jobs and leases"),
            _ => {}
        }
        persist("insert", insert).await??;
        let rest = kit.claim(kit.worker().await?, 10).await?;
        let all: Vec<JobId> = held.iter().chain(&rest).map(|job| job.token.job).collect();
        ensure_eq!(all.len(), 3, "jobs in both claims together");
        ensure_eq!(all.into_iter().collect::<BTreeSet<_>>(), jobs, "the jobs in both claims");
        let ends: Vec<_> = held.iter().chain(&rest).map(|job| (job.token, complete())).collect();
        kit.settle(ends).await?;
    }
    Ok(())
}
