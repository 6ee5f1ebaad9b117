//! Q10: concurrent completions of one job, by settles and by transactions, and jobs that end or are
//! claimed during a watch.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::Settled::{Done, LeaseLost};
use queue_core::backend::{Hint, JobEnd};
use queue_core::{ErrorKind, JobId, JobState, QueueName};

use super::watches::may_have_ended;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::kit::faults::retry_until_ok;
use crate::conformance::race::{RepeatedRace, Winner, race};
use crate::conformance::session::{EXPIRY, complete, complete_with, release, retry};
use crate::conformance::wakes::announced_by;

cases! {
    Race q10_leases_that_race_leave_the_result_of_one,
    Race q10_an_end_during_a_watch_is_returned_or_announced [Watch],
    Race q10_a_job_that_is_watched_as_it_is_claimed_is_not_stranded [Watch],
    Race q10_a_settle_waits_for_the_transaction_that_completes_its_job [Transactions],
    Race q10_of_a_transaction_and_a_rescue_one_ends_the_lease [Transactions],
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
        let expected = [LeaseLost, Done, LeaseLost, Done];
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
        ensure!(!ends.contains(&Some(JobEnd::Gone)), "round {round}: a job that ended is gone: {ends:?}");
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

/// A worker settles an attempt as failed while the transaction of its handler is still open. The
/// settle must succeed after a rollback, and find the lease ended after a commit. It may fail while
/// the transaction is open.
async fn q10_a_settle_waits_for_the_transaction_that_completes_its_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for round in 0..6 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let job = kit.claim_one(worker).await?;
        let mut transaction = kit.begin().await?;
        transaction.complete(job.token, "done", Vec::new()).await??;
        let handle = kit.handle();
        let settle = tokio::spawn(async move {
            let verdict = || retry("unknown", 1000);
            retry_until_ok("the settle", || async {
                Ok(handle.try_settle(vec![(job.token, verdict())]).await??.remove(0)?)
            })
            .await
        });
        tokio::task::yield_now().await;
        let is_committed = round % 2 == 0;
        if is_committed {
            transaction.commit().await?;
        } else {
            transaction.roll_back().await?;
        }
        let (reply, state) =
            if is_committed { (LeaseLost, JobState::Completed) } else { (Done, JobState::Retrying) };
        ensure_eq!(settle.await??, reply, "round {round}, the reply to the settle");
        ensure_eq!(kit.state(id).await?, state, "round {round}, the state of the job");
    }
    Ok(())
}

/// A transaction completes a job whose worker has expired, beside a rescue. The job must be
/// completed or rescued, and the other one of the two must say so.
async fn q10_of_a_transaction_and_a_rescue_one_ends_the_lease(kit: &Kit) -> CaseResult {
    let mut rounds = RepeatedRace::default();
    while let Some(round) = rounds.next_round()? {
        let worker = kit.worker().await?;
        let id = kit.insert_one(kit.spec("job")).await?;
        let job = kit.claim_one(worker).await?;
        kit.advance(EXPIRY);
        let (beginner, rescuer) = (kit.beginner()?, kit.handle());
        let completes = async move {
            let mut transaction = beginner.begin().await?;
            let reply = transaction.complete(job.token, "done", Vec::new()).await?;
            match &reply {
                Ok(()) => transaction.commit().await?,
                Err(_) => transaction.roll_back().await?,
            }
            Ok(reply)
        };
        let rescues = async move {
            let mut rescued = 0;
            // A rescue may skip a locked worker or job.
            for _ in 0..3 {
                rescued += rescuer.rescue(10).await?.rescued;
            }
            Ok(rescued)
        };
        let (reply, rescued) = rounds.run_round(completes, rescues).await?;
        let state = kit.state(id).await?;
        match reply {
            Ok(()) => {
                ensure_eq!((state, rescued), (JobState::Completed, 0), "round {round}, after a commit");
                rounds.won(Winner::First);
            }
            Err(error) if error.kind() == ErrorKind::LeaseLost => {
                ensure_eq!((state, rescued), (JobState::Ready, 1), "round {round}, after a rescue");
                rounds.won(Winner::Second);
                let taken = kit.claim_one(kit.worker().await?).await?;
                kit.settle_one(taken.token, complete()).await?;
            }
            Err(error) => ensure!(error.is_retryable(), "round {round}: {error}"),
        }
    }
    Ok(())
}
