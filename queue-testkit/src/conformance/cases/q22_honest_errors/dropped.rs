//! Q22: a dropped future has done the whole request or nothing, and leaves nothing behind.
//!
//! A dropped request may finish late, so each case repeats it and accepts either reply.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{
    CancelReply, CancelRequest, HeartbeatRequest, MaintainRequest, Prune, RegisterRequest, Settled,
};
use queue_core::testing::drop_after;
use queue_core::{ErrorKind, JobId, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete_with, release};
use crate::conformance::spec::Spec;

cases! {
    Fast q22_a_dropped_insert_has_stored_all_or_nothing,
    Fast q22_a_dropped_claim_has_leases_that_can_be_found,
    Fast q22_a_dropped_settle_can_be_repeated,
    Fast q22_a_dropped_cancel_can_be_repeated,
    Fast q22_a_dropped_rescue_took_all_or_nothing,
    Fast q22_a_dropped_promotion_took_all_or_nothing,
    Fast q22_a_dropped_prune_took_all_or_nothing,
    Fast q22_a_dropped_word_of_a_worker_can_be_repeated,
    Fast q22_a_handle_closed_under_a_dropped_insert_leaves_it_whole [Durable],
}

/// The numbers of polls before a drop. Each is repeated, because the state of the backend differs
/// between runs.
fn polls() -> impl Iterator<Item = u32> {
    (0..4).chain(0..4).chain([1, 1, 1, 1])
}

pub(super) fn batch(kit: &Kit, many: usize) -> Vec<Spec> {
    (0..many).map(|_| kit.spec("job")).collect()
}

/// An insert future is dropped. The same batch again must be new as a whole or known as a whole. If
/// the first insert had returned, the batch must be known.
async fn q22_a_dropped_insert_has_stored_all_or_nothing(kit: &Kit) -> CaseResult {
    let mut batches = 0;
    for polls in polls() {
        let specs = batch(kit, 20);
        let answered = drop_after(polls, kit.try_insert(specs.clone())).await.is_some();
        let again = kit.try_insert(specs).await??;
        let made = again.iter().filter(|job| job.is_new()).count();
        ensure!(
            made == 0 || made == 20 && !answered,
            "after {polls} polls {made} of 20 jobs were not stored"
        );
        batches += 1;
        ensure_eq!(
            kit.stored().await?.live.len(),
            batches * 20,
            "the number of unfinished jobs after {polls} polls"
        );
    }
    kit.works().await
}

/// A claim future is dropped. `leases` with its claim id must find all its leases or none. After
/// their release each job must be claimable at attempt 1.
async fn q22_a_dropped_claim_has_leases_that_can_be_found(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        let (worker, claim) = (kit.worker().await?, kit.new_claim_id());
        drop_after(polls, kit.claiming(worker, 10).claim_id(claim).take()).await;
        let found = kit.leases(worker, claim).await?;
        ensure!(
            found.is_empty() || found.len() == 10,
            "after {polls} polls {} of 10 leases exist",
            found.len()
        );
        for job in &found {
            kit.settle_one(job.token, release()).await?;
        }
        let next = kit.claim(kit.worker().await?, 20).await?;
        let seen: Vec<(JobId, u32)> = next.iter().map(|job| (job.token.job, job.attempt)).collect();
        let expected: Vec<(JobId, u32)> = jobs.into_iter().map(|job| (job, 1)).collect();
        ensure_eq!(seen, expected, "the jobs and their attempts after {polls} polls");
        kit.settle(next.iter().map(|job| (job.token, complete_with(b""))).collect()).await?;
    }
    kit.works().await
}

/// A settle future is dropped. The same settle again must return `Done` for each job, and each
/// result must be stored.
async fn q22_a_dropped_settle_can_be_repeated(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        let held = kit.claim(kit.worker().await?, 10).await?;
        let settlements: Vec<_> = held.iter().map(|job| (job.token, complete_with(b"once"))).collect();
        drop_after(polls, kit.settle(settlements.clone())).await;
        ensure_eq!(
            kit.settle(settlements).await?,
            [Settled::Done; 10],
            "the replies to the second settle after {polls} polls"
        );
        for job in jobs {
            let record = kit.record(job).await?;
            let seen = (record.state, record.attempt, record.result);
            ensure_eq!(
                seen,
                (JobState::Completed, 1, Some(b"once".to_vec())),
                "the state, attempt and result of the job after {polls} polls"
            );
        }
    }
    kit.works().await
}

/// A cancel future is dropped. Either the first or the second request must have cancelled all ten
/// jobs, because one request is one transaction.
async fn q22_a_dropped_cancel_can_be_repeated(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        let backend = kit.backend()?;
        let request = CancelRequest::new(jobs).at(kit.now());
        let answered = drop_after(polls, backend.cancel(request.clone())).await.is_some();
        let again = backend.cancel(request).await?;
        let late = again.iter().filter(|reply| **reply == CancelReply::Finished(JobState::Cancelled)).count();
        let done = again.iter().filter(|reply| **reply == CancelReply::Cancelled).count();
        ensure!(
            (done, late) == (0, 10) || (done, late) == (10, 0) && !answered,
            "after {polls} polls the replies to the second cancel are {again:?}"
        );
    }
    kit.works().await
}

/// A rescue future is dropped. The worker must be lost with all its leases, and each loss must be
/// charged and recorded once.
async fn q22_a_dropped_rescue_took_all_or_nothing(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        kit.claim(kit.worker().await?, 10).await?;
        kit.advance(EXPIRY);
        drop_after(polls, kit.maintain(MaintainRequest::rescue(100))).await;
        let reply = kit.rescue(100).await?;
        let seen = (reply.rescued, reply.workers_lost);
        ensure!(seen == (0, 0) || seen.0 == 10, "after {polls} polls the second rescue returned {seen:?}");
        for job in jobs {
            let record = kit.record(job).await?;
            let seen = (record.state, record.attempt, record.errors.len());
            ensure_eq!(
                seen,
                (JobState::Ready, 1, 1),
                "the state, attempt and number of errors of the job after {polls} polls"
            );
            kit.cancel(job).await?;
        }
    }
    kit.works().await
}

/// A promotion future is dropped. Of its jobs, all must be ready, or none.
async fn q22_a_dropped_promotion_took_all_or_nothing(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let later = kit.now().saturating_add(EXPIRY);
        let jobs = kit.insert((0..10).map(|_| kit.spec("job").run_at(later)).collect()).await?;
        kit.set_clock(later);
        drop_after(polls, kit.maintain(MaintainRequest::promote(100))).await;
        let promoted = kit.promote(100).await?.promoted;
        ensure!(
            promoted == 0 || promoted == 10,
            "after {polls} polls the second promotion returned {promoted}"
        );
        for job in jobs {
            ensure_eq!(kit.state(job).await?, JobState::Ready, "the state of a job after {polls} polls");
            kit.cancel(job).await?;
        }
    }
    kit.works().await
}

/// A prune future is dropped. Of its jobs, all must be gone, or none.
async fn q22_a_dropped_prune_took_all_or_nothing(kit: &Kit) -> CaseResult {
    let prune = || Prune::default().cancelled(Duration::ZERO).idempotency_window(Duration::ZERO);
    for polls in polls() {
        for job in kit.insert(batch(kit, 10)).await? {
            kit.cancel(job).await?;
        }
        kit.advance(EXPIRY);
        drop_after(polls, kit.maintain(MaintainRequest::prune(prune()))).await;
        let pruned = kit.prune(prune()).await?.pruned;
        ensure!(pruned == 0 || pruned == 10, "after {polls} polls the second prune returned {pruned}");
        ensure_eq!(kit.stored().await?.jobs.len(), 0, "the number of jobs left after {polls} polls");
    }
    kit.works().await
}

/// A register, heartbeat or retire future is dropped. The same request again must succeed, or
/// return `Conflict` for a second register.
async fn q22_a_dropped_word_of_a_worker_can_be_repeated(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    for polls in polls() {
        let worker = kit.new_worker_id();
        let entry = RegisterRequest::new(worker, "kit", EXPIRY).at(kit.now());
        let answered = drop_after(polls, backend.register(entry)).await.is_some();
        match kit.try_register(worker).await? {
            Ok(()) => ensure!(!answered, "a worker was registered twice"),
            Err(error) => drop(fails_with::<()>(Err(error), ErrorKind::Conflict)?),
        }
        kit.advance(EXPIRY / 2);
        drop_after(polls, backend.heartbeat(HeartbeatRequest::new(worker).at(kit.now()))).await;
        kit.heartbeat(worker).await?;
        kit.advance(EXPIRY / 2);
        ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "the number of workers lost after {polls} polls");
        drop_after(polls, kit.retire(worker)).await;
        kit.retire(worker).await?;
        ensure!(kit.is_lost(worker).await?, "the retired worker is still alive after {polls} polls");
    }
    kit.works().await
}

/// An insert future is dropped and the handle is reopened at once. The batch must be stored whole
/// or not at all.
async fn q22_a_handle_closed_under_a_dropped_insert_leaves_it_whole(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let before = kit.stored().await?.jobs.len();
        let specs = batch(kit, 50);
        let answered = drop_after(polls, kit.try_insert(specs.clone())).await.is_some();
        kit.reopen().await?;
        let stored = kit.stored().await?.jobs.len() - before;
        ensure!(
            stored == 50 || stored == 0 && !answered,
            "after {polls} polls {stored} of 50 jobs are stored"
        );
        kit.try_insert(specs).await??;
        ensure_eq!(kit.stored().await?.jobs.len() - before, 50, "the number of jobs after the second insert");
    }
    kit.works().await
}
