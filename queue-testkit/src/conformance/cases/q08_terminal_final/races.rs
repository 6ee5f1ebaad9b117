//! Q8: a retry by hand happens once, before or after a prune.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::JobId;
use queue_core::backend::{Prune, RetryReply, RetryRequest};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{Session, cancelled, complete};

cases! {
    Race q08_of_many_retries_at_once_one_is_made [Manage],
    Race q08_a_job_is_pruned_or_retried_as_a_whole [Manage],
}

async fn retry_all(handle: &Session, jobs: Vec<JobId>) -> anyhow::Result<Vec<RetryReply>> {
    let backend = handle.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let mut replies = manage.retry(RetryRequest::new(jobs.clone()).at(handle.now())).await;
    // A backend may refuse a request that met another one, and it changes nothing then.
    while replies.as_ref().is_err_and(queue_core::Error::is_retryable) {
        replies = manage.retry(RetryRequest::new(jobs.clone()).at(handle.now())).await;
    }
    Ok(replies?)
}

/// Eight tasks over two handles retry the same twenty finished jobs, each in another order. Each
/// job must be retried once, and have one further attempt that all later operations see.
async fn q08_of_many_retries_at_once_one_is_made(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..20).map(|_| kit.spec("job")).collect()).await?;
    for round in 1..=10 {
        let held = kit.claim(worker, 20).await?;
        ensure_eq!(held.len(), 20, "round {round}, the number of claimed jobs");
        ensure!(held.iter().all(|job| job.attempt == round), "round {round}: wrong attempts: {held:?}");
        let end = |place: usize| if place.is_multiple_of(2) { complete() } else { cancelled("no") };
        kit.settle(held.iter().enumerate().map(|(place, job)| (job.token, end(place))).collect()).await?;
        let retrier = |task: usize| {
            let (handle, mut jobs) = (Arc::clone(&handles[task % 2]), jobs.clone());
            jobs.rotate_left(task * 3 % 20);
            if task.is_multiple_of(3) {
                jobs.reverse();
            }
            async move { retry_all(&handle, jobs).await }
        };
        let replies = race((0..8).map(retrier).collect()).await?;
        let retried = replies.iter().flatten().filter(|reply| **reply == RetryReply::Retried).count();
        ensure_eq!(retried, 20, "round {round}, the number of retries that were made");
    }
    Ok(())
}

/// Old jobs are pruned while two tasks retry them. Each job must be gone or ready: a retry that was
/// made must hold against the prune.
async fn q08_a_job_is_pruned_or_retried_as_a_whole(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..12 {
        let jobs = kit.insert((0..40).map(|_| kit.spec("job")).collect()).await?;
        for id in &jobs {
            kit.cancel(*id).await?;
        }
        kit.advance(Duration::from_secs(60));
        let task = |task: usize| {
            let (handle, jobs) = (Arc::clone(&handles[task % 2]), jobs.clone());
            async move {
                match task {
                    0 => prune_all(&handle).await.map(|()| Vec::new()),
                    // The other half, so that a job has one retry.
                    _ => retry_all(&handle, jobs.into_iter().skip(task - 1).step_by(2).collect()).await,
                }
            }
        };
        let replies = race((0..3).map(task).collect()).await?;
        let replies: Vec<RetryReply> = replies.into_iter().flatten().collect();
        ensure!(
            replies.iter().all(|reply| matches!(reply, RetryReply::Retried | RetryReply::NotFound)),
            "round {round}: a retry of an old job returned neither `Retried` nor `NotFound`: {replies:?}"
        );
        let retried = replies.iter().filter(|reply| **reply == RetryReply::Retried).count();
        let stored = kit.stored().await?;
        ensure_eq!(stored.live.len(), retried, "round {round}, the number of unfinished jobs");
        for row in stored.live {
            kit.cancel(row.id).await?;
        }
        kit.advance(Duration::from_secs(60));
        prune_all(kit).await?;
    }
    Ok(())
}

/// Prunes jobs that ended a while ago.
async fn prune_all(session: &Session) -> CaseResult {
    let short = Duration::from_secs(30);
    let prune = Prune::default().completed(short).cancelled(short).dead(short).limit(10);
    let prune = prune.idempotency_window(Duration::ZERO);
    while session.prune(prune.clone()).await?.pruned > 0 {}
    Ok(())
}
