//! Q15: concurrent inserts of one key, and inserts beside the end of the job that holds it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use queue_core::backend::{RetryReply, Verdict};
use queue_core::{Insertion, JobId, Submitted, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{EXPIRY, Session, bury, complete};
use crate::conformance::spec::Spec;

cases! {
    Race q15_of_sixteen_inserts_of_a_key_one_is_new [UniqueKeys],
    Race q15_batches_with_the_same_keys_in_any_order_hold_each_once [UniqueKeys],
    Race q15_an_insert_beside_the_end_of_the_holder_is_new_or_a_duplicate [UniqueKeys],
    Race q15_a_kept_key_is_never_free_while_its_job_completes [UniqueKeys],
    Race q15_an_insert_beside_a_rescue_is_new_or_a_duplicate [UniqueKeys],
    Race q15_of_sixteen_retries_and_inserts_of_a_key_one_holds_it [UniqueKeys, Manage],
}

const TASKS: usize = 16;

/// Sixteen tasks over two handles insert jobs of one key. One must be new, and the others must be
/// duplicates of it.
async fn q15_of_sixteen_inserts_of_a_key_one_is_new(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..20 {
        let key = format!("round {round}");
        let enqueuer = |task: usize| {
            let (handle, spec) = (Arc::clone(&handles[task % 2]), kit.spec("job").unique(&*key));
            async move { insert(&handle, spec).await }
        };
        let replies = race((0..TASKS).map(enqueuer).collect()).await?;
        one_is_new(&replies, round)?;
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 20, "the number of stored jobs");
    Ok(())
}

async fn insert(handle: &Session, spec: Spec) -> anyhow::Result<Submitted> {
    Ok(handle.try_insert(vec![spec]).await??.remove(0))
}

/// Returns the new job.
fn one_is_new(replies: &[Submitted], round: usize) -> anyhow::Result<JobId> {
    let new: Vec<JobId> = replies.iter().filter(|reply| reply.is_new()).map(|reply| reply.id).collect();
    ensure!(new.len() == 1, "round {round}: {} inserts are new: {replies:?}", new.len());
    let is_of_it =
        |reply: &Submitted| reply.is_new() || *reply == Submitted::new(new[0], Insertion::Duplicate);
    ensure!(replies.iter().all(is_of_it), "round {round}: not all are duplicates of {}: {replies:?}", new[0]);
    Ok(new[0])
}

/// Eight tasks insert batches with the same twenty keys, each in another order. No batch may fail,
/// and each key must be held once.
async fn q15_batches_with_the_same_keys_in_any_order_hold_each_once(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..6 {
        let enqueuer = |task: usize| {
            let handle = Arc::clone(&handles[task % 2]);
            let mut batch: Vec<Spec> =
                (0..20).map(|key| kit.spec("job").unique(format!("{round} {key}"))).collect();
            batch.rotate_left(task * 3 % 20);
            if task % 2 == 1 {
                batch.reverse();
            }
            async move { Ok(handle.try_insert(batch).await??) }
        };
        let replies = race((0..8).map(enqueuer).collect()).await?;
        let new = replies.iter().flatten().filter(|reply| reply.is_new()).count();
        ensure_eq!(new, 20, "round {round}, the number of new jobs");
    }
    let stored = kit.stored().await?;
    ensure_eq!((stored.jobs.len(), stored.unique_keys.len()), (120, 120), "the numbers of jobs and keys");
    Ok(())
}

/// The holder of the key is completed, buried or cancelled while eight tasks insert jobs of the
/// key. At most one of them may be new, and one must be if no duplicate names another job.
async fn q15_an_insert_beside_the_end_of_the_holder_is_new_or_a_duplicate(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    let holding = || kit.spec("job").unique("a");
    for round in 0..24 {
        let holder = kit.insert_one(holding()).await?;
        let token = match round % 3 {
            0 => None,
            _ => Some(kit.claim_one(worker).await?.token),
        };
        let enqueuer = |task: usize| {
            let (handle, spec) = (Arc::clone(&handles[task % 2]), holding());
            let verdict = if round % 3 == 1 { complete() } else { bury("no") };
            async move {
                if task == 0 {
                    end(&handle, holder, token, verdict).await?;
                    return Ok(None);
                }
                insert(&handle, spec).await.map(Some)
            }
        };
        let replies = race((0..9).map(enqueuer).collect()).await?;
        let replies: Vec<Submitted> = replies.into_iter().flatten().collect();
        let next = of_holder_or_next(&replies, holder)?;
        // The key must be held now, or free: never half of each.
        let last = match next {
            Some(next) => next,
            None => kit.insert_one(holding()).await?,
        };
        kit.cancel(last).await?;
    }
    Ok(())
}

/// Settles the job, or cancels it if it is not claimed.
async fn end(handle: &Session, job: JobId, token: Option<Token>, verdict: Verdict) -> CaseResult {
    match token {
        Some(token) => drop(handle.settle_one(token, verdict).await?),
        None => drop(handle.cancel(job).await?),
    }
    Ok(())
}

/// Checks that each reply is the one new job, or a duplicate of it or of the holder. Returns the
/// new job.
fn of_holder_or_next(replies: &[Submitted], holder: JobId) -> anyhow::Result<Option<JobId>> {
    let new: Vec<JobId> = replies.iter().filter(|reply| reply.is_new()).map(|reply| reply.id).collect();
    ensure!(new.len() <= 1, "several inserts are new: {replies:?}");
    let next = new.first().copied();
    let is_right = |reply: &Submitted| reply.id == holder || Some(reply.id) == next;
    ensure!(replies.iter().all(is_right), "a duplicate is of neither {holder} nor {next:?}: {replies:?}");
    Ok(next)
}

/// The holder keeps its key for a day, and is completed while eight tasks insert jobs of the key.
/// No insert may find the key free between the two.
async fn q15_a_kept_key_is_never_free_while_its_job_completes(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    for round in 0..20 {
        let kept = || kit.spec("job").unique_for(format!("round {round}"), Duration::from_secs(86_400));
        let holder = kit.insert_one(kept()).await?;
        let token = kit.claim_one(worker).await?.token;
        let enqueuer = |task: usize| {
            let (handle, spec) = (Arc::clone(&handles[task % 2]), kept());
            async move {
                if task == 0 {
                    handle.settle_one(token, complete()).await?;
                    return Ok(None);
                }
                insert(&handle, spec).await.map(Some)
            }
        };
        let replies = race((0..9).map(enqueuer).collect()).await?;
        let expected = vec![Submitted::new(holder, Insertion::Duplicate); 8];
        ensure_eq!(replies.into_iter().flatten().collect::<Vec<_>>(), expected, "round {round}, the replies");
    }
    Ok(())
}

/// The holder is on its last attempt, and its worker is lost. A rescue ends it while tasks insert
/// jobs of the key.
async fn q15_an_insert_beside_a_rescue_is_new_or_a_duplicate(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for _ in 0..12 {
        let holder = kit.insert_one(kit.spec("job").unique("a").max_retries(0)).await?;
        kit.claim_one(kit.worker().await?).await?;
        kit.advance(EXPIRY);
        let enqueuer = |task: usize| {
            let (handle, spec) = (Arc::clone(&handles[task % 2]), kit.spec("job").unique("a"));
            async move {
                if task == 0 {
                    handle.rescue(10).await?;
                    return Ok(None);
                }
                insert(&handle, spec).await.map(Some)
            }
        };
        let replies = race((0..9).map(enqueuer).collect()).await?;
        let replies: Vec<Submitted> = replies.into_iter().flatten().collect();
        // A rescue may skip a worker that is locked at the moment, and then the holder is not dead.
        kit.rescue(10).await?;
        let last = match of_holder_or_next(&replies, holder)? {
            Some(next) => next,
            None => kit.insert_one(kit.spec("job").unique("a")).await?,
        };
        kit.cancel(last).await?;
    }
    Ok(())
}

/// Eight dead jobs of one key are retried by hand while eight tasks insert jobs of it. One job must
/// hold the key, and each other reply must name it.
async fn q15_of_sixteen_retries_and_inserts_of_a_key_one_holds_it(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    let unique = || kit.spec("job").unique("a");
    let mut dead = Vec::new();
    for _ in 0..TASKS / 2 {
        dead.push(kit.insert_one(unique()).await?);
        kit.settle_one(kit.claim_one(worker).await?.token, bury("no")).await?;
    }
    for round in 0..20 {
        let asker = |task: usize| {
            let (handle, spec) = (Arc::clone(&handles[task / 2 % 2]), unique());
            let job = dead.get(task / 2).copied().filter(|_| task.is_multiple_of(2));
            async move {
                let Some(job) = job else {
                    let reply = insert(&handle, spec).await?;
                    return Ok((reply.id, reply.is_new()));
                };
                match handle.retry(job).await? {
                    RetryReply::Retried => Ok((job, true)),
                    RetryReply::KeyHeld(holder) => Ok((holder, false)),
                    other => bail!("a retry of a dead job returned {other:?}"),
                }
            }
        };
        let replies = race((0..TASKS).map(asker).collect()).await?;
        let winners: Vec<JobId> = replies.iter().filter(|(_, won)| *won).map(|(job, _)| *job).collect();
        ensure!(winners.len() == 1, "round {round}: not one job took the key: {replies:?}");
        ensure!(
            replies.iter().all(|(job, _)| *job == winners[0]),
            "round {round}: not all replies name the holder {}: {replies:?}",
            winners[0]
        );
        kit.cancel(winners[0]).await?;
    }
    Ok(())
}
