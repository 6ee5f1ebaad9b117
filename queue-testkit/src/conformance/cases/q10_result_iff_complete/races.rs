//! Q10: concurrent completions of one job, and jobs that end or are claimed during a watch.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::{Hint, Settled};
use queue_core::{JobId, QueueName};

use super::watches::may_have_ended;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{complete, complete_with, release};
use crate::conformance::wakes::announced_by;

cases! {
    Race q10_leases_that_race_leave_the_result_of_one,
    Race q10_an_end_during_a_watch_is_returned_or_announced [Watch],
    Race q10_a_job_that_is_watched_as_it_is_claimed_is_not_stranded [Watch],
}

/// A stale and a live lease complete a job concurrently with different results, over two handles.
/// The result of the live lease must be stored.
async fn q10_leases_that_race_leave_the_result_of_one(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..16_u8 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let worker = kit.worker().await?;
        let stale = kit.claim_one(worker).await?.token;
        kit.settle_one(stale, release()).await?;
        let live = kit.claim_one(worker).await?.token;
        let settle = |(place, (token, result)): (usize, (_, &'static [u8]))| {
            let handle = Arc::clone(&handles[place / 2]);
            async move { handle.settle_one(token, complete_with(result)).await }
        };
        let tokens: [(_, &'static [u8]); 4] =
            [(stale, b"stale"), (live, b"live"), (stale, b"stale"), (live, b"live")];
        let answers = race(tokens.into_iter().enumerate().map(settle).collect()).await?;
        let expected = [Settled::LeaseLost, Settled::Done, Settled::LeaseLost, Settled::Done];
        ensure_eq!(answers, expected, "round {round}, the replies");
        ensure_eq!(
            kit.record(id).await?.result.as_deref(),
            Some(b"live".as_slice()),
            "round {round}, the result"
        );
    }
    Ok(())
}

/// Half of the jobs of a watch are settled, and the others are cancelled, while it is in progress.
/// Each end must be in its reply, or announced.
async fn q10_an_end_during_a_watch_is_returned_or_announced(kit: &Kit) -> CaseResult {
    let handles = kit.handles(3).await?;
    for round in 0..20 {
        let ids = kit.insert((0..40).map(|_| kit.spec("job").queue("raced")).collect()).await?;
        let worker = kit.worker().await?;
        let jobs = kit.claiming(worker, 20).queue("raced").take().await?.jobs;
        let mut receiver = handles[2].backend()?.subscribe();
        let change = |place: usize| {
            let (handle, jobs) = (Arc::clone(&handles[place]), jobs.clone());
            let mut ids = ids.clone();
            async move {
                match place {
                    0 => drop(handle.settle(jobs.iter().map(|job| (job.token, complete())).collect()).await?),
                    1 => {
                        ids.retain(|id| jobs.iter().all(|job| job.token.job != *id));
                        for id in ids {
                            handle.cancel(id).await?;
                        }
                    }
                    _ => return handle.watch(&ids).await,
                }
                Ok(Vec::new())
            }
        };
        let ends = race((0..3).map(change).collect()).await?.remove(2);
        let unfinished: Vec<JobId> =
            ids.iter().zip(&ends).filter(|(_, end)| end.is_none()).map(|(id, _)| *id).collect();
        let wakes = announced_by(&handles[..2], round, &mut receiver).await?;
        for id in unfinished {
            ensure!(
                may_have_ended(&wakes, id),
                "round {round}: no end of job {id} was returned or announced"
            );
        }
    }
    Ok(())
}

/// A claim may skip jobs that a watch has locked. Then their queue must be announced again, because
/// the worker would otherwise find them only by its next poll.
async fn q10_a_job_that_is_watched_as_it_is_claimed_is_not_stranded(kit: &Kit) -> CaseResult {
    // Enough jobs that the watch holds its locks for about as long as the claim takes.
    const JOBS: u32 = 200;
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    for round in 0..30 {
        let ids = kit.insert((0..JOBS).map(|_| kit.spec("job")).collect()).await?;
        let mut receiver = handles[0].backend()?.subscribe();
        let tasks = (0..2).map(|place| {
            let (handle, ids) = (Arc::clone(&handles[place]), ids.clone());
            async move {
                if place == 0 {
                    return Ok(handle.claim(worker, JOBS).await?.len());
                }
                handle.watch(&ids).await?;
                Ok(0)
            }
        });
        let claimed = race(tasks.collect()).await?[0];
        if claimed < ids.len() {
            let wakes = announced_by(&handles[1..], round, &mut receiver).await?;
            let is_ready = |hint: &Hint| hint.queue == QueueName::default() && hint.due_in.is_zero();
            ensure!(
                wakes.unknown || wakes.ready.iter().any(is_ready),
                "round {round}: {claimed} jobs were claimed, and the others were not announced: {wakes:?}"
            );
            let more = handles[0].claim(worker, JOBS).await?.len();
            ensure_eq!(claimed + more, ids.len(), "round {round}: the number of claimed jobs");
        }
    }
    Ok(())
}
