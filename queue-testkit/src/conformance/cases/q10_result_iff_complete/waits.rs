//! Q10: callers that wait for results, through a `JobQueue`.

use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{Prune, WORKER_LOST_ERROR};
use queue_core::{JobEnd, JobId, JobQueue, Limits, ResultErrorKind};
use tokio::task::JoinHandle;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, Session, bury, cancelled, complete, complete_with};
use crate::conformance::wait::in_time;

cases! {
    Fast q10_a_caller_gets_the_result_whenever_it_begins_to_wait [Watch],
    Fast q10_a_caller_learns_why_there_is_no_result [Watch],
    Fast q10_a_caller_in_another_process_gets_the_result [Watch, MultiProcess],
    Fast q10_a_result_expires_with_its_job,
    Fast q10_a_caller_that_hears_of_nothing_asks_again,
}

/// Longer than a case may run, so that only announcements end a wait.
const NEVER: Duration = Duration::from_secs(24 * 3600);

fn client(session: &Session, poll_interval: Duration) -> anyhow::Result<JobQueue> {
    Ok(JobQueue::with_limits(session.backend()?, Limits::default().result_poll_interval(poll_interval)))
}

/// Begins to wait for an unfinished job, and returns once the backend was asked for it.
async fn begin(client: &JobQueue, id: JobId) -> anyhow::Result<JoinHandle<queue_core::Result<JobEnd>>> {
    let queue = client.clone();
    let mut wait = Box::pin(async move { queue.wait(id).await });
    let first = poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
    ensure!(first.is_pending(), "the wait for an unfinished job ended: {first:?}");
    let waiting = tokio::spawn(wait);
    // No request is sent before that of the caller who came first, so the job was asked for too.
    ensure_eq!(client.wait(JobId::generate()).await?, JobEnd::Gone, "the end of an unknown job");
    Ok(waiting)
}

async fn end(waiting: JoinHandle<queue_core::Result<JobEnd>>) -> anyhow::Result<JobEnd> {
    Ok(in_time("the end of the job that a caller awaits", waiting).await???)
}

/// A job ends before a caller waits for it, while it waits, and after another caller was dropped.
async fn q10_a_caller_gets_the_result_whenever_it_begins_to_wait(kit: &Kit) -> CaseResult {
    let client = client(kit, NEVER)?;
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let dropped = begin(&client, id).await?;
    let waiting = begin(&client, id).await?;
    let token = kit.claim_one(worker).await?.token;
    let second = begin(&client, id).await?;
    dropped.abort();
    kit.settle_one(token, complete_with(b"[7]")).await?;
    let completed = JobEnd::Completed { result: Some(b"[7]".to_vec()) };
    ensure_eq!(end(waiting).await?, completed, "the end for a caller that waited before the start");
    ensure_eq!(end(second).await?, completed, "the end for a caller that waited before the end");
    ensure_eq!(client.result::<Vec<u8>>(id).await?, [7], "the result after the end");
    Ok(())
}

/// Jobs end without a result: dead, cancelled before the start and at a run, and by a rescue.
async fn q10_a_caller_learns_why_there_is_no_result(kit: &Kit) -> CaseResult {
    let client = client(kit, NEVER)?;
    let worker = kit.worker().await?;
    for (verdict, kind) in
        [(bury("hopeless"), ResultErrorKind::Dead), (cancelled("unwanted"), ResultErrorKind::Cancelled)]
    {
        let id = kit.insert_one(kit.spec("job")).await?;
        let waiting = begin(&client, id).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
        end(waiting).await?;
        let error = client.result::<u8>(id).await.err().context("there is a result")?;
        ensure_eq!((error.kind(), error.job()), (kind, id), "the error");
        ensure!(["hopeless", "unwanted"].contains(&error.message()), "the error is: {error}");
    }
    let never_started = kit.insert_one(kit.spec("job")).await?;
    let waiting = begin(&client, never_started).await?;
    kit.cancel(never_started).await?;
    ensure_eq!(end(waiting).await?, JobEnd::Cancelled { reason: None }, "the end by a cancel");
    let lost = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    let waiting = begin(&client, lost).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    ensure_eq!(end(waiting).await?, JobEnd::Dead { error: WORKER_LOST_ERROR.into() }, "the end by a rescue");
    Ok(())
}

/// A caller waits on another handle than that of the worker, and one on each handle.
async fn q10_a_caller_in_another_process_gets_the_result(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    let (here, there) = (client(kit, NEVER)?, client(&other, NEVER)?);
    let worker = kit.worker().await?;
    for _ in 0..3 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let waiting = [begin(&there, id).await?, begin(&here, id).await?];
        kit.settle_one(kit.claim_one(worker).await?.token, complete_with(b"1")).await?;
        for waiting in waiting {
            ensure_eq!(end(waiting).await?, JobEnd::Completed { result: Some(b"1".to_vec()) }, "the end");
        }
    }
    Ok(())
}

/// The error of a pruned job and that of an unknown one must name the job, and both reasons.
async fn q10_a_result_expires_with_its_job(kit: &Kit) -> CaseResult {
    let client = client(kit, Duration::from_millis(1))?;
    let pruned = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    client.result::<()>(pruned).await?;
    kit.advance(Duration::from_secs(3600));
    let prune = Prune::default().completed(Duration::ZERO).idempotency_window(Duration::ZERO).limit(10);
    kit.prune(prune).await?;
    for id in [pruned, JobId::generate()] {
        let gone = in_time("the end of a job that does not exist", client.result::<()>(id)).await?;
        let error = gone.err().context("there is a result")?;
        let text = error.to_string();
        ensure_eq!(error.kind(), ResultErrorKind::Gone, "the error");
        ensure!(
            text.contains(&id.to_string()) && text.contains("never") && text.contains("pruned"),
            "{text}"
        );
    }
    Ok(())
}

/// The backend may announce no ends, so a caller must ask again.
async fn q10_a_caller_that_hears_of_nothing_asks_again(kit: &Kit) -> CaseResult {
    let client = client(kit, Duration::from_millis(1))?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let waiting = begin(&client, id).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete_with(b"1")).await?;
    ensure_eq!(end(waiting).await?, JobEnd::Completed { result: Some(b"1".to_vec()) }, "the end");
    Ok(())
}
