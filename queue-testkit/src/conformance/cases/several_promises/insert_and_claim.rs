//! Claims that are made with an insert: as good as any others, and never in the way of the insert.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use queue_core::backend::{ClaimReply, InsertReply, InsertRequest, Settled};
use queue_core::{Enqueuer as _, Error, ErrorKind, JobId, State, Submitted, WorkerId};

use super::doubts::in_doubt;
use crate::conformance::act::persist;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::{DOUBTS, Fault};
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::in_time;
use crate::conformance::program::{Program, Started, new_job, stop};
use crate::conformance::race::race;
use crate::conformance::session::{EXPIRY, Inserted, Session, complete, queue};

cases! {
    Fast q01_jobs_are_stored_whatever_becomes_of_their_claim [InsertAndClaim],
    Fast q03_a_claim_with_an_insert_takes_its_jobs [InsertAndClaim],
    Fast q05_a_claim_takes_nothing_of_a_batch_that_fails [InsertAndClaim],
    Fast q07_a_claim_with_an_insert_bounds_last_attempts [InsertAndClaim],
    Fast q13_a_claim_with_an_insert_takes_the_first_of_all [InsertAndClaim],
    Fast q14_a_claim_with_an_insert_takes_nothing_early [InsertAndClaim],
    Fast q17_a_claim_with_an_insert_obeys_a_pause [InsertAndClaim, Manage],
    Fast q19_what_the_claim_of_an_insert_leaves_wakes_others [InsertAndClaim],
    Race q03_claims_with_inserts_and_others_share_no_job [InsertAndClaim],
    Fault q03_an_idle_worker_finds_what_it_was_given_without_an_answer [InsertAndClaim] on LOST,
    Fault q16_an_insert_of_unknown_outcome_and_its_claim_agree [InsertAndClaim] on DOUBTS,
}

const LOST: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost];

/// What each task of a race does so often.
const TURNS: usize = 60;

/// The jobs of a claim that was made.
fn taken(claim: Option<queue_core::Result<ClaimReply>>) -> anyhow::Result<Vec<JobId>> {
    let reply = claim.context("the claim was not made")??;
    Ok(reply.jobs.iter().map(|job| job.token.job).collect())
}

/// The worker is told that it was given up; others find the job.
async fn q01_jobs_are_stored_whatever_becomes_of_their_claim(kit: &Kit) -> CaseResult {
    let (lost, other) = (kit.worker().await?, kit.worker().await?);
    let held = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(lost).await?;
    kit.advance(EXPIRY);
    kit.try_heartbeat(other).await??;
    kit.rescue(10).await?;
    kit.claim_one(other).await?;
    let id = match kit.claiming(lost, 5).with_insert(vec![kit.spec("job")]).await? {
        Inserted::Declined => kit.insert_one(kit.spec("job")).await?,
        Inserted::Done(jobs, claim) => {
            if let Some(claim) = claim {
                fails_with(claim, ErrorKind::WorkerLost)?;
            }
            jobs?[0]
        }
    };
    ensure_eq!(kit.claim_one(other).await?.token.job, id, "the job that another worker finds");
    ensure_eq!(kit.state(held).await?, State::Running, "the state of the job that was there");
    Ok(())
}

async fn q03_a_claim_with_an_insert_takes_its_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let name = kit.new_claim_id();
    let specs = vec![kit.spec("job"), kit.spec("job").priority(3), kit.spec("job")];
    let (jobs, claim) = kit.claiming(worker, 5).claim_id(name).with_insert(specs).await?.done()?;
    let (jobs, leases) = (jobs?, claim.context("the claim was not made")??.jobs);
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
async fn q05_a_claim_takes_nothing_of_a_batch_that_fails(kit: &Kit) -> CaseResult {
    let known = kit.insert_one(kit.spec("job").queue("elsewhere")).await?;
    let batch = vec![kit.spec("job"), kit.spec("job").id(known)];
    match kit.claiming(kit.worker().await?, 5).with_insert(batch).await? {
        Inserted::Declined => {}
        Inserted::Done(jobs, claim) => {
            fails_with(jobs, ErrorKind::Conflict)?;
            if let Some(claim) = claim {
                ensure!(claim?.jobs.is_empty(), "a job of a batch that failed was taken");
            }
        }
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 1, "jobs");
    Ok(())
}

async fn q07_a_claim_with_an_insert_bounds_last_attempts(kit: &Kit) -> CaseResult {
    let specs = (0..3).map(|_| kit.spec("job").max_retries(0)).collect();
    let claiming = kit.claiming(kit.worker().await?, 5).last_attempts(1);
    let (jobs, claim) = claiming.with_insert(specs).await?.done()?;
    let jobs = jobs?;
    ensure_eq!(taken(claim)?, [jobs[0]], "the jobs on their last attempt that were taken");
    ensure_eq!(kit.state(jobs[1]).await?, State::Ready, "the state of the next");
    Ok(())
}

/// Also of those that were there before.
async fn q13_a_claim_with_an_insert_takes_the_first_of_all(kit: &Kit) -> CaseResult {
    let before = kit.insert_one(kit.spec("job").priority(5)).await?;
    let specs = vec![kit.spec("job"), kit.spec("job").priority(4)];
    let (jobs, claim) = kit.claiming(kit.worker().await?, 1).with_insert(specs).await?.done()?;
    let jobs = jobs?;
    ensure_eq!(taken(claim)?, [before], "the job that was taken");
    let rest = kit.claim(kit.worker().await?, 5).await?;
    let rest: Vec<JobId> = rest.iter().map(|job| job.token.job).collect();
    ensure_eq!(rest, [jobs[1], jobs[0]], "the jobs that were left");
    Ok(())
}

async fn q14_a_claim_with_an_insert_takes_nothing_early(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(Duration::from_micros(1));
    let specs = vec![kit.spec("job").run_at(soon).priority(9), kit.spec("job")];
    let (jobs, claim) = kit.claiming(kit.worker().await?, 5).with_insert(specs).await?.done()?;
    let jobs = jobs?;
    ensure_eq!(taken(claim)?, [jobs[1]], "the jobs that were taken");
    ensure_eq!(kit.state(jobs[0]).await?, State::Scheduled, "the state of a job that is not due");
    Ok(())
}

async fn q17_a_claim_with_an_insert_obeys_a_pause(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&queue("default")?).await?;
    let claiming = kit.claiming(kit.worker().await?, 5);
    let (jobs, claim) = claiming.with_insert(vec![kit.spec("job")]).await?.done()?;
    let id = jobs?[0];
    if let Some(claim) = claim {
        ensure!(claim?.jobs.is_empty(), "a paused queue gave a job");
    }
    ensure_eq!(kit.state(id).await?, State::Ready, "the state of the job");
    manage.resume(&queue("default")?).await?;
    ensure_eq!(kit.claim_one(kit.worker().await?).await?.token.job, id, "the job, once resumed");
    Ok(())
}

/// Those that were more than its limit, and those that are due later.
async fn q19_what_the_claim_of_an_insert_leaves_wakes_others(kit: &Kit) -> CaseResult {
    let mut wakes = kit.backend()?.subscribe();
    let soon = kit.now().saturating_add(Duration::from_secs(7));
    let specs = vec![kit.spec("job"), kit.spec("job").priority(2), kit.spec("job").run_at(soon)];
    let (jobs, claim) = kit.claiming(kit.worker().await?, 1).with_insert(specs).await?.done()?;
    ensure_eq!(taken(claim)?, [jobs?[1]], "the job that was taken");
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

/// Some tasks insert jobs with a claim, some without, and some only claim.
async fn q03_claims_with_inserts_and_others_share_no_job(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let handles = kit.handles(2).await?;
    let mut tasks = Vec::new();
    for task in 0..6 {
        let handle = Arc::clone(&handles[task % 2]);
        let worker = kit.worker().await?;
        tasks.push(async move {
            if task < 2 {
                claim_only(&handle, worker).await
            } else {
                insert_and_claim(&handle, worker, task).await
            }
        });
    }
    let mut seen = race(tasks).await?.concat();
    seen.extend(kit.claim(kit.worker().await?, 500).await?.iter().map(|job| job.token.job));
    ensure_eq!(seen.len(), 4 * TURNS, "leases");
    ensure_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 4 * TURNS, "jobs that were leased");
    Ok(())
}

async fn claim_only(handle: &Session, worker: WorkerId) -> anyhow::Result<Vec<JobId>> {
    let mut mine = Vec::new();
    for _ in 0..TURNS {
        mine.extend(handle.claim(worker, 2).await?.iter().map(|job| job.token.job));
    }
    Ok(mine)
}

async fn insert_and_claim(handle: &Session, worker: WorkerId, task: usize) -> anyhow::Result<Vec<JobId>> {
    let mut mine = Vec::new();
    for turn in 0..TURNS {
        if (task + turn).is_multiple_of(3) {
            handle.insert_one(handle.spec("job")).await?;
            continue;
        }
        match handle.claiming(worker, 2).with_insert(vec![handle.spec("job")]).await? {
            Inserted::Declined => drop(handle.insert_one(handle.spec("job")).await?),
            Inserted::Done(jobs, claim) => {
                jobs?;
                if let Some(claim) = claim {
                    mine.extend(claim?.jobs.iter().map(|job| job.token.job));
                }
            }
        }
    }
    Ok(mine)
}

/// The enqueuer tries again, and the job runs once, as its first attempt. Repeats until an insert
/// without an answer had the worker's claim with it.
async fn q03_an_idle_worker_finds_what_it_was_given_without_an_answer(kit: &Kit) -> CaseResult {
    const KIND: &str = "a-kind-of-its-own";
    let handle = kit.impatient();
    let mut program = Program::new(&handle)?;
    program.on(KIND, |_, _| async { Ok(()) })?;
    let worker = program.start(2)?;
    for _ in 0..TURNS {
        let with_claims = || handle.history().inserts_with_claims();
        let before = with_claims();
        let id = JobId::generate();
        let job = new_job(KIND, "{}")?.id(id);
        let broken = kit.inject(&id.to_bytes()).await?;
        let first = in_time("an answer", program.queue.submit(vec![job.clone()])).await?;
        let had_claim = with_claims() > before;
        broken.mend().await?;
        fails_with(first, ErrorKind::UnknownOutcome)?;
        let submit = || async { Ok(program.queue.submit(vec![job.clone()]).await) };
        persist("submit", submit).await??;
        program.ended(&[id]).await?;
        ensure_eq!(program.next_start().await?, Started { id, attempt: 1 }, "the attempt that ran");
        ensure!(program.starts_so_far().is_empty(), "it ran more than once");
        if had_claim {
            return stop(worker).await;
        }
    }
    bail!("no insert had a claim of the idle worker with it")
}

/// The jobs are leased to it, or it has none; others get exactly the rest.
async fn q16_an_insert_of_unknown_outcome_and_its_claim_agree(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    for _ in 0..4 {
        let (worker, name) = (kit.worker().await?, kit.new_claim_id());
        let specs = (0..3).map(|_| kit.spec("job").build()).collect::<queue_core::Result<Vec<_>>>()?;
        let jobs: BTreeSet<JobId> = specs.iter().map(|spec| spec.id).collect();
        let handle = kit.impatient();
        let backend = handle.backend()?;
        let claim = handle.claiming(worker, 2).claim_id(name).request()?;
        let request = InsertRequest::new(vec![specs.clone()]).at(kit.now());
        let insert = |request: InsertRequest| async {
            let reply = backend.insert(request).await;
            Ok(reply.and_then(|mut reply| reply.batches.remove(0)))
        };
        let with_claim = || async {
            let reply = backend.insert(request.clone().claim(claim.clone())).await;
            Ok(reply.and_then(outcome_with_claim))
        };
        in_doubt(kit, &specs[1].id.to_bytes(), with_claim).await?;
        let held = persist("leases", || async { Ok(handle.try_leases(worker, name).await) }).await??;
        let stored = kit.stored().await?.jobs.iter().filter(|job| jobs.contains(job)).count();
        match kit.fault()? {
            Fault::ReplyLost => ensure_eq!((stored, held.len()), (3, 2), "jobs and leases"),
            Fault::RequestLost => ensure_eq!((stored, held.len()), (0, 0), "jobs and leases"),
            _ => {}
        }
        persist("insert", || insert(request.clone())).await??;
        let rest = kit.claim(kit.worker().await?, 10).await?;
        let all: Vec<JobId> = held.iter().chain(&rest).map(|job| job.token.job).collect();
        ensure_eq!(all.len(), 3, "jobs in both claims together");
        ensure_eq!(all.into_iter().collect::<BTreeSet<_>>(), jobs, "the jobs in both claims");
        let ends: Vec<_> = held.iter().chain(&rest).map(|job| (job.token, complete())).collect();
        kit.settle(ends).await?;
    }
    Ok(())
}

/// The outcome of the batch. If it is unknown, the outcome of the claim must be unknown too.
fn outcome_with_claim(mut reply: InsertReply) -> queue_core::Result<Vec<Submitted>> {
    let is_unknown = |error: &Error| error.kind() == ErrorKind::UnknownOutcome;
    let Some(batch) = reply.batches.pop() else {
        // It is tried again.
        return Err(Error::new(ErrorKind::Unavailable, "insert jobs", "the insert was declined"));
    };
    if batch.as_ref().is_err_and(is_unknown)
        && !reply.claim.as_ref().is_some_and(|claim| claim.as_ref().is_err_and(is_unknown))
    {
        let message = format!("the outcome of the batch is unknown, that of its claim is {:?}", reply.claim);
        return Err(Error::new(ErrorKind::Corrupt, "insert jobs", message));
    }
    batch
}
