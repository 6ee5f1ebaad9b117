//! Two operations at once, of which one looks at a row before it writes. In either order the second
//! must see the effect of the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{HeartbeatRequest, ProgressReport, Prune, RegisterRequest, RetryReply, Settled};
use queue_core::{ErrorKind, Insertion, JobState, Progress};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::{RepeatedRace, Winner, pause, pause_of, race};
use crate::conformance::session::{EXPIRY, GRACE, bury, complete, queue, snooze};

cases! {
    Race q03_a_promotion_beside_a_claim_takes_no_running_job,
    Race q04_an_old_token_beside_the_next_claim_ends_nothing,
    Race q04_an_old_report_beside_the_next_claim_stores_nothing,
    Race q08_a_job_exists_while_it_ends_and_is_retried [Manage],
    Race q11_a_retirement_beside_a_claim_strands_no_job,
    Race q11_a_rescue_beside_a_snooze_takes_what_is_held,
    Race q12_an_id_is_registered_once,
    Race q15_a_prune_beside_an_insert_ends_no_new_key [UniqueKeys],
    Race q17_pauses_and_resumes_at_once_all_hold [Manage],
}

const HOUR: Duration = Duration::from_secs(3600);

/// Jobs become due, and one handle promotes them while another claims them. The claimed ones must
/// stay with their claim.
async fn q03_a_promotion_beside_a_claim_takes_no_running_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let (worker, later) = (kit.worker().await?, kit.now().saturating_add(Duration::from_secs(1)));
        let jobs = kit.insert((0..3).map(|_| kit.spec("job").run_at(later)).collect()).await?;
        kit.set_clock(later);
        let (promoter, claimer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let promote = async move { Ok(promoter.promote(9).await?.promoted) };
        let claim = async move { claimer.claim(worker, 9).await };
        let (promoted, held) = duels.run_round(promote, claim).await?;
        duels.won(if promoted > 0 { Winner::First } else { Winner::Second });
        for job in &held {
            ensure_eq!(
                kit.state(job.token.job).await?,
                JobState::Running,
                "round {round}, the state of a claimed job beside {promoted} promoted ones"
            );
            ensure_eq!(
                kit.settle_one(job.token, complete()).await?,
                Settled::Done,
                "the reply to its settle"
            );
        }
        for job in jobs {
            kit.cancel(job).await?;
        }
        kit.retire(worker).await?;
    }
    Ok(())
}

/// A worker settles at its expiry, while another handle rescues the job and claims it again. If the
/// claim gets it, the old token must have changed nothing.
async fn q04_an_old_token_beside_the_next_claim_ends_nothing(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let id = kit.insert_one(kit.spec("job")).await?;
        let old = kit.claim_one(kit.worker().await?).await?.token;
        kit.advance(EXPIRY);
        let worker = kit.worker().await?;
        let (holder, rescuer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let settle = async move { holder.settle_one(old, bury("too late")).await };
        let again = async move {
            rescuer.rescue(10).await?;
            rescuer.claim(worker, 1).await
        };
        let (settled, held) = duels.run_round(settle, again).await?;
        if settled == Settled::Done {
            ensure_eq!(
                (held, kit.state(id).await?),
                (Vec::new(), JobState::Dead),
                "round {round}, the next claim and the state of a job that its first holder ended"
            );
            duels.won(Winner::First);
        } else {
            for job in &held {
                let replies = (kit.settle_one(job.token, complete()).await?, kit.state(id).await?);
                let expected = (Settled::Done, JobState::Completed);
                ensure_eq!(replies, expected, "round {round}, the settle of the next holder, and the state");
            }
            kit.cancel(id).await?;
            duels.won(Winner::Second);
        }
        kit.retire(worker).await?;
    }
    Ok(())
}

/// A worker reports progress at the deadline of its lease, while another handle rescues the job and
/// claims it again. The new lease must have no progress.
async fn q04_an_old_report_beside_the_next_claim_stores_nothing(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let (old, next) = (kit.worker_expiring_after(HOUR).await?, kit.worker_expiring_after(HOUR).await?);
        let id = kit.insert_one(kit.spec("job").timeout(Duration::ZERO)).await?;
        let token = kit.claim_one(old).await?.token;
        kit.advance(GRACE);
        let (holder, rescuer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let mut request = HeartbeatRequest::new(old).at(kit.now());
        request.progress.push(ProgressReport::new(token, Progress { done: 1, total: 2 }));
        let report = async move { Ok(holder.backend()?.heartbeat(request).await?.leases) };
        let again = async move {
            rescuer.rescue(10).await?;
            rescuer.claim(next, 1).await
        };
        let (leases, held) = duels.run_round(report, again).await?;
        duels.won(if leases > 0 { Winner::First } else { Winner::Second });
        for job in held {
            ensure_eq!(job.token.job, id, "round {round}, the job of the new lease");
            ensure_eq!(kit.record(id).await?.progress, None, "round {round}, the progress of the new lease");
            kit.settle_one(job.token, complete()).await?;
        }
        // The first rescue may have skipped a lease that the heartbeat had locked.
        kit.rescue(10).await?;
        kit.cancel(id).await?;
        for worker in [old, next] {
            kit.retire(worker).await?;
        }
    }
    Ok(())
}

/// A job ends, and is retried by hand, while others read it. It must be found by each read.
async fn q08_a_job_exists_while_it_ends_and_is_retried(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    for round in 0..40_usize {
        let token = kit.claim_one(worker).await?.token;
        for is_end in [true, false] {
            let is_over = Arc::new(AtomicBool::new(false));
            let task = |place: usize| {
                let (handle, is_over) = (Arc::clone(&handles[place % 2]), Arc::clone(&is_over));
                async move {
                    if place == 0 {
                        pause(pause_of(0, round)).await;
                        let outcome = match is_end {
                            true => handle.settle_one(token, complete()).await.map(drop),
                            false => handle.retry(id).await.map(drop),
                        };
                        is_over.store(true, Ordering::SeqCst);
                        return outcome;
                    }
                    while !is_over.load(Ordering::SeqCst) {
                        handle.find(id).await?.context("a job that ends or is retried was not found")?;
                        tokio::task::yield_now().await;
                    }
                    Ok(())
                }
            };
            race((0..3).map(task).collect()).await?;
        }
        ensure_eq!(
            kit.retry(id).await?,
            RetryReply::Unfinished(JobState::Ready),
            "the state in round {round}"
        );
    }
    Ok(())
}

/// A worker retires on one handle and claims on another. If the claim takes a job, a rescue must
/// take it at the worker's expiry.
async fn q11_a_retirement_beside_a_claim_strands_no_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let worker = kit.worker().await?;
        let id = handles[1].insert_one(kit.spec("job")).await?;
        let (retiring, claimer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let retire = async move { retiring.retire(worker).await };
        let claim = async move { claimer.claiming(worker, 1).attempt().await };
        let ((), claim) = duels.run_round(retire, claim).await?;
        match claim {
            Ok(reply) => {
                kit.advance(EXPIRY);
                let rescued = kit.rescue(10).await?.rescued;
                let taken = reply.jobs.len() as u64;
                ensure_eq!(rescued, taken, "round {round}, the jobs rescued at the expiry");
                duels.won(Winner::Second);
            }
            Err(error) => {
                ensure_eq!(error.kind(), ErrorKind::WorkerLost, "round {round}, the error of the claim");
                duels.won(Winner::First);
            }
        }
        ensure_eq!(kit.state(id).await?, JobState::Ready, "round {round}, the state of the job");
        kit.cancel(id).await?;
    }
    Ok(())
}

/// A worker snoozes a job at the deadline of its lease, while another handle rescues. The job must
/// wait, or be ready and charged.
async fn q11_a_rescue_beside_a_snooze_takes_what_is_held(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker_expiring_after(HOUR * 24).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let id = kit.insert_one(kit.spec("job").timeout(Duration::ZERO)).await?;
        let token = kit.claim_one(worker).await?.token;
        kit.advance(GRACE);
        kit.heartbeat(worker).await?;
        let (rescuer, holder) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let rescue = async move { Ok(rescuer.rescue(10).await?.rescued) };
        let settle = async move { holder.settle_one(token, snooze(60)).await };
        let (rescued, settled) = duels.run_round(rescue, settle).await?;
        let record = kit.record(id).await?;
        let seen = (rescued, record.state, record.attempt);
        let (winner, expected) = match settled {
            Settled::Done => (Winner::Second, (0, JobState::Scheduled, 0)),
            _ => (Winner::First, (1, JobState::Ready, 1)),
        };
        ensure_eq!(
            seen,
            expected,
            "round {round}, the rescued jobs, the state and the attempt ({settled:?})"
        );
        duels.won(winner);
        kit.cancel(id).await?;
    }
    Ok(())
}

/// Four tasks register the same id. One must succeed, and the others must get a conflict.
async fn q12_an_id_is_registered_once(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..16 {
        let worker = kit.new_worker_id();
        let register = |task: usize| {
            let handle = Arc::clone(&handles[task % 2]);
            let request = RegisterRequest::new(worker, "kit", EXPIRY).at(kit.now());
            async move { Ok(handle.backend()?.register(request).await.map_err(|error| error.kind())) }
        };
        let mut replies = race((0..4).map(register).collect()).await?;
        replies.sort_by_key(Result::is_err);
        let conflict = Err(ErrorKind::Conflict);
        ensure_eq!(replies, [Ok(()), conflict, conflict, conflict], "the replies in round {round}");
        kit.retire(worker).await?;
    }
    Ok(())
}

/// A kept key ends, and one handle prunes while another inserts a job with that key. The new job
/// must hold it.
async fn q15_a_prune_beside_an_insert_ends_no_new_key(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let (worker, keep) = (kit.worker_expiring_after(HOUR * 24).await?, Duration::from_secs(1));
    for round in 0..32 {
        let ended = kit.insert_one(kit.spec("job").unique_for("a", keep)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
        kit.advance(keep);
        let task = |place: usize| {
            let (handle, spec) = (Arc::clone(&handles[place]), kit.spec("job").unique("a"));
            async move {
                pause(pause_of(u32::from(place == 1), round)).await;
                if place == 1 {
                    return handle.try_insert(vec![spec]).await?.map(Some).map_err(Into::into);
                }
                let zero = Duration::ZERO;
                handle.prune(Prune::default().completed(zero).idempotency_window(zero)).await?;
                Ok(None)
            }
        };
        let replies = race((0..2).map(task).collect()).await?;
        let new = replies[1].as_ref().context("the insert has no reply")?[0];
        ensure!(new.is_new(), "round {round}: the key of job {ended} was not free: {new:?}");
        let next = kit.try_insert(vec![kit.spec("job").unique("a")]).await??[0];
        ensure_eq!(
            (next.id, next.insertion),
            (new.id, Insertion::Duplicate),
            "round {round}, the reply to the next insert with the key"
        );
        kit.cancel(new.id).await?;
    }
    Ok(())
}

/// Four queues are paused at once, and then two of them are resumed while two others are paused.
/// Each must be as its own request says.
async fn q17_pauses_and_resumes_at_once_all_hold(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..12 {
        for (pauses, resumes) in [(0..4, 0..0), (4..6, 0..2), (0..0, 2..6)] {
            let task = |place: usize| {
                let (handle, is_pause) = (Arc::clone(&handles[place % 2]), pauses.contains(&place));
                async move {
                    let (backend, name) = (handle.backend()?, queue(&format!("queue-{place}"))?);
                    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
                    if is_pause {
                        manage.pause(&name).await?;
                    } else {
                        manage.resume(&name).await?;
                    }
                    Ok(())
                }
            };
            race(pauses.clone().chain(resumes.clone()).map(task).collect()).await?;
            let backend = kit.backend()?;
            let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
            let paused: Vec<String> =
                manage.paused().await?.iter().map(|name| name.as_str().to_owned()).collect();
            let expected = match (pauses.len(), resumes.len()) {
                (4, _) => 0..4,
                (2, _) => 2..6,
                _ => 0..0,
            };
            let expected: Vec<String> = expected.map(|place| format!("queue-{place}")).collect();
            ensure_eq!(paused, expected, "round {round}, the paused queues");
        }
    }
    Ok(())
}
