//! Q17: a paused queue gives nothing from the moment pause returns, and no other queue is touched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use queue_core::State;
use queue_core::backend::{Backend, CancelReply, Manage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::in_time;
use crate::conformance::race::race;
use crate::conformance::session::{EXPIRY, complete, queue, retry};

cases! {
    Fast q17_a_paused_queue_gives_nothing_and_the_others_go_on [Manage],
    Fast q17_a_resumed_queue_gives_all_in_order [Manage],
    Fast q17_pausing_and_resuming_twice_changes_nothing [Manage],
    Fast q17_jobs_of_a_paused_queue_live_on_in_every_other_way [Manage],
    Fast q17_resuming_wakes_whoever_waits [Manage],
    Fast q17_a_pause_outlives_the_handle [Manage, Durable],
    Fast q17_a_pause_holds_for_every_handle [Manage, MultiProcess],
    Race q17_no_claim_takes_a_job_after_pause_returned [Manage],
}

/// How many pauses are to come in the middle of claiming, and how many at the most for that.
const ENOUGH_ROUNDS: usize = 8;
const MOST_ROUNDS: usize = 100;

fn manage(backend: &dyn Backend) -> anyhow::Result<&dyn Manage> {
    backend.extensions().manage.context("the backend offers no `manage`")
}

/// From the head, and for a queue that has no jobs yet.
async fn q17_a_paused_queue_gives_nothing_and_the_others_go_on(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    for name in ["mail", "empty"] {
        manage.pause(&queue(name)?).await?;
    }
    let specs = ["mail", "other", "empty", "default"].map(|name| kit.spec("job").queue(name));
    let jobs = kit.insert(specs.to_vec()).await?;
    for (name, expected) in
        [("mail", None), ("other", Some(jobs[1])), ("empty", None), ("default", Some(jobs[3]))]
    {
        let reply = kit.claiming(worker, 5).queue(name).take().await?;
        let taken: Vec<_> = reply.jobs.iter().map(|job| job.token.job).collect();
        ensure_eq!(taken, expected.into_iter().collect::<Vec<_>>(), "jobs of `{name}` that a claim took");
    }
    ensure_eq!(manage.paused().await?, [queue("empty")?, queue("mail")?], "the paused queues");
    Ok(())
}

/// Those of before, those that came meanwhile, and those that became due.
async fn q17_a_resumed_queue_gives_all_in_order(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    let soon = kit.now().saturating_add(Duration::from_secs(1));
    let before = kit.insert(vec![kit.spec("job"), kit.spec("job").run_at(soon)]).await?;
    manage.pause(&queue("default")?).await?;
    let meanwhile = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(5)]).await?;
    kit.advance(Duration::from_secs(2));
    ensure!(kit.claim(worker, 10).await?.is_empty(), "a paused queue gave a job");
    manage.resume(&queue("default")?).await?;
    let taken: Vec<_> = kit.claim(worker, 10).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(taken, [meanwhile[1], before[0], meanwhile[0], before[1]], "the jobs in the order of claims");
    ensure_eq!(manage.paused().await?, [], "the paused queues");
    Ok(())
}

async fn q17_pausing_and_resuming_twice_changes_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    let default = queue("default")?;
    manage.resume(&default).await?;
    manage.pause(&default).await?;
    manage.pause(&default).await?;
    ensure_eq!(manage.paused().await?, std::slice::from_ref(&default), "the paused queues");
    kit.insert_one(kit.spec("job")).await?;
    manage.resume(&default).await?;
    manage.resume(&default).await?;
    kit.claim_one(worker).await?;
    Ok(())
}

/// What runs is settled and comes back, what waits is cancelled, what is lost is rescued, and a worker lives.
async fn q17_jobs_of_a_paused_queue_live_on_in_every_other_way(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 3).await?;
    let backend = kit.backend()?;
    manage(&*backend)?.pause(&queue("default")?).await?;
    kit.settle_one(held[0].token, complete()).await?;
    kit.settle_one(held[1].token, retry("failed", 0)).await?;
    kit.heartbeat(worker).await?;
    ensure_eq!(kit.cancel(jobs[3]).await?, CancelReply::Cancelled, "the cancel of a job that waits");
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "leases that were taken back");
    let states = [State::Completed, State::Retrying, State::Ready, State::Cancelled];
    for (job, state) in jobs.into_iter().zip(states) {
        ensure_eq!(kit.state(job).await?, state, "the state of job {job}");
    }
    Ok(())
}

/// So that a worker need not wait for its next look.
async fn q17_resuming_wakes_whoever_waits(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = manage(&*backend)?;
    manage.pause(&queue("default")?).await?;
    kit.insert_one(kit.spec("job")).await?;
    let mut receiver = backend.subscribe();
    manage.resume(&queue("default")?).await?;
    let wakes = tokio::time::timeout(Duration::from_secs(30), receiver.recv()).await?;
    ensure!(wakes.unknown || !wakes.ready.is_empty(), "the resume is told as {wakes:?}");
    Ok(())
}

async fn q17_a_pause_outlives_the_handle(kit: &Kit) -> CaseResult {
    manage(&*kit.backend()?)?.pause(&queue("default")?).await?;
    kit.insert_one(kit.spec("job")).await?;
    kit.reopen().await?;
    let worker = kit.worker().await?;
    ensure!(kit.claim(worker, 5).await?.is_empty(), "a paused queue gave a job after it was opened again");
    ensure_eq!(manage(&*kit.backend()?)?.paused().await?, [queue("default")?], "the paused queues");
    Ok(())
}

async fn q17_a_pause_holds_for_every_handle(kit: &Kit) -> CaseResult {
    let second = kit.open_second().await?;
    let worker = second.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    manage(&*kit.backend()?)?.pause(&queue("default")?).await?;
    ensure!(second.claim(worker, 5).await?.is_empty(), "a queue that another handle paused gave a job");
    manage(&*second.backend()?)?.resume(&queue("default")?).await?;
    kit.claim_one(kit.worker().await?).await?;
    Ok(())
}

/// Eight tasks claim without pause; a claim that is made once the pause has returned brings nothing, and at that
/// moment the leases are all there are. Rounds count that were in the middle: with jobs taken, and jobs left to take.
async fn q17_no_claim_takes_a_job_after_pause_returned(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let default = queue("default")?;
    let mut in_the_middle = 0;
    for round in 0..MOST_ROUNDS {
        let taken_before = running(kit).await?;
        kit.insert((0..200).map(|_| kit.spec("job")).collect()).await?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (brought, mut first) = mpsc::channel(1);
        let mut workers = Vec::new();
        for _ in 0..8 {
            workers.push(kit.worker().await?);
        }
        let mut tasks = JoinSet::new();
        for (handle, worker) in handles.iter().cycle().zip(workers) {
            let (handle, is_over, brought) = (Arc::clone(handle), Arc::clone(&is_over), brought.clone());
            tasks.spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    handle.claim(worker, 3).await?;
                    // Only the first is waited for.
                    let _ = brought.try_send(());
                    tokio::task::yield_now().await;
                }
                anyhow::Ok(())
            });
        }
        drop(brought);
        in_time("a claim", first.recv()).await?;
        manage(&*handles[round % 2].backend()?)?.pause(&default).await?;
        let at_once = kit.stored().await?.live;
        // What is claimed from here on would show.
        let asked = handles.iter().map(|handle| {
            let handle = Arc::clone(handle);
            async move { Ok(handle.claim(handle.worker().await?, 50).await?.len()) }
        });
        let taken: usize = race(asked.collect()).await?.into_iter().sum();
        is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        ensure_eq!(taken, 0, "round {round}, jobs that were claimed after the pause had returned");
        let running_at_once = at_once.iter().filter(|row| row.state == State::Running).count();
        ensure_eq!(
            running(kit).await?,
            running_at_once,
            "round {round}, leases since the pause had returned"
        );
        in_the_middle += usize::from(taken_before < running_at_once && running_at_once < at_once.len());
        if in_the_middle == ENOUGH_ROUNDS {
            return Ok(());
        }
        manage(&*kit.backend()?)?.resume(&default).await?;
    }
    bail!("only {in_the_middle} of {MOST_ROUNDS} pauses came in the middle of claiming")
}

async fn running(kit: &Kit) -> anyhow::Result<usize> {
    Ok(kit.stored().await?.live.iter().filter(|row| row.state == State::Running).count())
}
