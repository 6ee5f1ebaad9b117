//! Q8: a retry by hand happens once, before or after a prune.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use queue_core::backend::{ClaimedJob, Prune, RetryReply, RetryRequest};
use queue_core::{ErrorKind, JobId, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::pass::not_shown;
use crate::conformance::race::{Rounds, pause, pause_of, race};
use crate::conformance::session::{Session, cancelled, complete};

cases! {
    Race q08_of_many_retries_at_once_one_is_made [Manage],
    Race q08_a_job_is_pruned_or_retried_as_a_whole [Manage],
}

/// The number of rounds in which some jobs must be pruned and some retried.
const ENOUGH_ROUNDS: usize = 4;

async fn retry_all(handle: &Session, jobs: Vec<JobId>) -> anyhow::Result<Vec<RetryReply>> {
    let backend = handle.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    loop {
        match manage.retry(RetryRequest::new(jobs.clone()).at(handle.now())).await {
            // A backend may refuse a request that met another one. Nothing was changed then.
            Err(error) if error.is_retryable() && error.kind() != ErrorKind::UnknownOutcome => {}
            replies => return Ok(replies?),
        }
    }
}

/// Eight tasks over two handles retry the same twenty finished jobs, each in another order. Each
/// job must be retried once, and have one further attempt that all later operations see.
async fn q08_of_many_retries_at_once_one_is_made(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..20).map(|_| kit.spec("job")).collect()).await?;
    for round in 1..=10 {
        let held = claim_all(kit, worker).await?;
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

/// Claims the twenty jobs. A claim may skip jobs for a while that another handle has made ready.
async fn claim_all(kit: &Kit, worker: WorkerId) -> anyhow::Result<Vec<ClaimedJob>> {
    let mut held = Vec::new();
    for _ in 0..30 {
        held.extend(kit.claim(worker, 20).await?);
        if held.len() == 20 {
            return Ok(held);
        }
        kit.advance(Duration::from_secs(1));
        kit.heartbeat(worker).await?;
    }
    bail!("claims found only {} of 20 retried jobs within 30 s", held.len())
}

/// Old jobs are pruned while two tasks retry them and cancel them anew. Each job must be gone, or
/// have a new end that is too young for the prune: a retry that was made must hold against it.
async fn q08_a_job_is_pruned_or_retried_as_a_whole(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let (mut mixed, mut rounds) = (0, Rounds::new());
    while mixed < ENOUGH_ROUNDS {
        let Some(round) = rounds.next() else {
            return Err(not_shown(format!(
                "in {ENOUGH_ROUNDS} rounds some jobs shall be pruned and some retried; in {mixed} they were"
            )));
        };
        let jobs = kit.insert((0..40).map(|_| kit.spec("job")).collect()).await?;
        for id in &jobs {
            kit.cancel(*id).await?;
        }
        kit.advance(Duration::from_secs(60));
        let task = |task: usize| {
            let (handle, jobs) = (Arc::clone(&handles[task % 2]), jobs.clone());
            async move {
                if task == 0 {
                    pause(pause_of(0, round)).await;
                    return prune_all(&handle).await.map(|()| Vec::new());
                }
                // The other half, so that a job has one retry.
                let half: Vec<JobId> = jobs.into_iter().skip(task - 1).step_by(2).collect();
                let mut replies = Vec::new();
                for some in half.chunks(5) {
                    let answers = retry_all(&handle, some.to_vec()).await?;
                    for (job, _) in
                        some.iter().zip(&answers).filter(|(_, reply)| **reply == RetryReply::Retried)
                    {
                        handle.cancel(*job).await?;
                    }
                    replies.extend(answers);
                    pause(pause_of(1, round)).await;
                }
                Ok(replies)
            }
        };
        let replies = race((0..3).map(task).collect()).await?;
        let replies: Vec<RetryReply> = replies.into_iter().flatten().collect();
        ensure!(
            replies.iter().all(|reply| matches!(reply, RetryReply::Retried | RetryReply::NotFound)),
            "round {round}: a retry of an old job returned neither `Retried` nor `NotFound`: {replies:?}"
        );
        let retried = replies.iter().filter(|reply| **reply == RetryReply::Retried).count();
        prune_all(kit).await?;
        let stored = kit.stored().await?;
        ensure_eq!(
            (stored.live.len(), stored.outcomes.len()),
            (0, retried),
            "round {round}, the numbers of unfinished jobs, and of jobs that ended anew"
        );
        mixed += usize::from((1..jobs.len()).contains(&retried));
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
