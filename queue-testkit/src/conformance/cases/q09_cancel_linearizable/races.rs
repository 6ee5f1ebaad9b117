//! Q9: concurrent cancels have one order that agrees with all replies. The history check proves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{CancelReply, ClaimedJob};
use queue_core::{Enqueuer, JobContext, JobState, Payload, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::pass::not_shown;
use crate::conformance::program::{Program, stop};
use crate::conformance::race::{Rounds, pause, pause_of, race};
use crate::conformance::session::{Session, complete, release};
use crate::conformance::spec::Spec;

cases! {
    Race q09_inserts_claims_and_cancels_have_one_order,
    Race q09_cancels_and_leases_that_end_have_one_order,
    Race q09_one_of_many_cancels_ends_the_job,
    Race q09_a_signalled_handler_is_stopped,
}

const JOBS: usize = 40;
/// The number of cancels that must meet waiting jobs, and of cancels that must meet running jobs.
const ENOUGH: usize = 3;

/// The pause after an empty claim.
const LULL: Duration = Duration::from_millis(1);

/// The number of cancels that met waiting jobs, and of cancels that met running jobs.
#[derive(Debug, Default)]
struct Met {
    waiting: usize,
    running: usize,
}

impl Met {
    fn add(&mut self, replies: &[CancelReply]) {
        self.waiting += replies.iter().filter(|reply| **reply == CancelReply::Cancelled).count();
        self.running += replies.iter().filter(|reply| **reply == CancelReply::Running).count();
    }

    const fn is_enough(&self) -> bool {
        self.waiting >= ENOUGH && self.running >= ENOUGH
    }

    fn not_enough(&self) -> anyhow::Error {
        not_shown(format!("{ENOUGH} cancels shall meet waiting jobs, and {ENOUGH} running ones: {self:?}"))
    }
}

/// Jobs are cancelled before, during and after their insert and claim. No cancel may return
/// `NotFound` after the acknowledgement, and no cancelled job may run.
async fn q09_inserts_claims_and_cancels_have_one_order(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    // This insert makes the kind known to claims before the raced inserts.
    let known = kit.insert_one(kit.spec("job")).await?;
    kit.cancel(known).await?;
    let (mut met, mut rounds) = (Met::default(), Rounds::new());
    while let Some(round) = rounds.next() {
        let specs: Arc<Vec<Spec>> = Arc::new((0..JOBS).map(|_| kit.spec("job")).collect());
        let inserted = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for task in 0..8 {
            let (handle, specs) = (Arc::clone(&handles[task / 4 % 2]), Arc::clone(&specs));
            let (worker, inserted) = (kit.worker().await?, Arc::clone(&inserted));
            tasks.push(async move {
                match task % 4 {
                    0 => insert_each(&handle, &specs, pause_of(2, round), &inserted).await,
                    1 => claim_and_complete(&handle, worker, pause_of(0, round), &inserted).await,
                    turn => cancel_each(&handle, &specs[turn..], pause_of(1, round)).await,
                }
            });
        }
        met.add(&race(tasks).await?.concat());
        if met.is_enough() {
            return Ok(());
        }
    }
    Err(met.not_enough())
}

/// Inserts all jobs. Two tasks call this, so that each job is inserted twice.
async fn insert_each(
    handle: &Session,
    specs: &[Spec],
    between: Duration,
    inserted: &AtomicUsize,
) -> anyhow::Result<Vec<CancelReply>> {
    for spec in specs {
        handle.try_insert(vec![spec.clone()]).await??;
        inserted.fetch_add(1, Ordering::SeqCst);
        pause(between).await;
    }
    Ok(Vec::new())
}

/// Claims until all jobs are inserted and none is left, and holds each for a while.
async fn claim_and_complete(
    handle: &Session,
    worker: WorkerId,
    held_for: Duration,
    inserted: &AtomicUsize,
) -> anyhow::Result<Vec<CancelReply>> {
    loop {
        let are_all_inserted = inserted.load(Ordering::SeqCst) == 2 * JOBS;
        let held = handle.claim(worker, 2).await?;
        if are_all_inserted && held.is_empty() {
            return Ok(Vec::new());
        }
        // An empty claim is no reason to send the next one at once.
        pause(if held.is_empty() { LULL } else { held_for }).await;
        for job in held {
            handle.settle_one(job.token, complete()).await?;
        }
    }
}

async fn cancel_each(
    handle: &Session,
    specs: &[Spec],
    between: Duration,
) -> anyhow::Result<Vec<CancelReply>> {
    let mut replies = Vec::new();
    for spec in specs {
        replies.push(handle.cancel_running(spec.clone().build()?.id).await?);
        pause(between).await;
    }
    Ok(replies)
}

/// Two tasks release and claim a job while others cancel it. Each cancel must meet it running, or
/// waiting and then end it. In every other round the job is running at the start.
async fn q09_cancels_and_leases_that_end_have_one_order(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let (mut met, mut rounds) = (Met::default(), Rounds::new());
    while let Some(round) = rounds.next() {
        let id = kit.insert_one(kit.spec("job")).await?;
        let mut tasks = Vec::new();
        for task in 0..4 {
            let handle = Arc::clone(&handles[task % 2]);
            let worker = kit.worker().await?;
            let held = if round % 2 == 1 && task == 0 { kit.claim(worker, 1).await? } else { Vec::new() };
            tasks.push(async move {
                if task < 2 {
                    release_and_claim(&handle, worker, held, pause_of(0, round / 2)).await
                } else {
                    let mut replies = Vec::new();
                    for _ in 0..task + round % 3 {
                        replies.push(handle.cancel_running(id).await?);
                        pause(pause_of(1, round / 2)).await;
                    }
                    Ok(replies)
                }
            });
        }
        met.add(&race(tasks).await?.concat());
        let left = kit.cancel(id).await?;
        ensure!(left != CancelReply::NotFound, "round {round}: job {id} is not stored");
        if met.is_enough() {
            return Ok(());
        }
    }
    Err(met.not_enough())
}

async fn release_and_claim(
    handle: &Session,
    worker: WorkerId,
    mut held: Vec<ClaimedJob>,
    held_for: Duration,
) -> anyhow::Result<Vec<CancelReply>> {
    for _ in 0..6 {
        for job in held {
            pause(held_for).await;
            handle.settle_one(job.token, release()).await?;
        }
        held = handle.claim(worker, 1).await?;
    }
    for job in held {
        handle.settle_one(job.token, release()).await?;
    }
    Ok(Vec::new())
}

/// Eight callers cancel one job concurrently. One must get `Cancelled`, the others `Finished`.
async fn q09_one_of_many_cancels_ends_the_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..16 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let canceller = |task: usize| {
            let handle = Arc::clone(&handles[task % 2]);
            async move { handle.cancel(id).await }
        };
        let replies = race((0..8).map(canceller).collect()).await?;
        let done = replies.iter().filter(|reply| **reply == CancelReply::Cancelled).count();
        let late = CancelReply::Finished(JobState::Cancelled);
        let too_late = replies.iter().filter(|reply| **reply == late).count();
        ensure_eq!((done, too_late), (1, 7), "round {round}, the numbers of Cancelled and Finished replies");
    }
    Ok(())
}

/// A handler waits for its cancellation token. After a signal the token must be cancelled, and the
/// job must end cancelled.
async fn q09_a_signalled_handler_is_stopped(kit: &Kit) -> CaseResult {
    let mut program = Program::new(kit)?;
    program.on("patient", |context: JobContext, _: Payload| async move {
        context.cancellation().cancelled().await;
        Err(queue_core::JobError::retry("stopped"))
    })?;
    let worker = program.start(2)?;
    let id = Enqueuer::enqueue(&program.queue, "patient", Payload::json("{}")?).await?;
    ensure_eq!(program.next_start().await?.id, id, "the running job");
    ensure_eq!(kit.cancel_running(id).await?, CancelReply::Running, "the reply to the cancel");
    program.ended(&[id]).await?;
    stop(worker).await?;
    ensure_eq!(kit.state(id).await?, JobState::Cancelled, "the state");
    Ok(())
}
