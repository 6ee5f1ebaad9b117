//! Q22: a future that is dropped has done all that was asked, or nothing, and leaves nothing behind.
//!
//! Whether it did it may be known late: so these cases ask again, and the second answer must fit either.

use anyhow::ensure;
use queue_core::backend::{
    CancelReply, CancelRequest, HeartbeatRequest, MaintainRequest, RegisterRequest, Settled,
};
use queue_core::testing::drop_after;
use queue_core::{ErrorKind, JobId, State};

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
    Fast q22_a_dropped_word_of_a_worker_can_be_repeated,
    Fast q22_a_handle_closed_under_a_dropped_insert_leaves_it_whole [Durable],
}

/// A future of a backend is dropped after none, one, … of its polls; each several times, since what it
/// meets differs.
fn polls() -> impl Iterator<Item = u32> {
    (0..4).chain(0..4).chain([1, 1, 1, 1])
}

pub(super) fn batch(kit: &Kit, many: usize) -> Vec<Spec> {
    (0..many).map(|_| kit.spec("job")).collect()
}

/// The same batch again is new as a whole, or known as a whole; known, if the first was answered.
async fn q22_a_dropped_insert_has_stored_all_or_nothing(kit: &Kit) -> CaseResult {
    let mut batches = 0;
    for polls in polls() {
        let specs = batch(kit, 20);
        let answered = drop_after(polls, kit.try_insert(specs.clone())).await.is_some();
        let again = kit.try_insert(specs).await??;
        let made = again.iter().filter(|job| job.is_new()).count();
        ensure!(made == 0 || made == 20 && !answered, "after {polls} polls {made} of 20 jobs were missing");
        batches += 1;
        ensure_eq!(kit.stored().await?.live.len(), batches * 20, "jobs after {polls} polls");
    }
    kit.works().await
}

/// By the name of the claim: once they are given back, no job is missing, and none was charged.
async fn q22_a_dropped_claim_has_leases_that_can_be_found(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        let (worker, claim) = (kit.worker().await?, kit.new_claim_id());
        drop_after(polls, kit.claiming(worker, 10).claim_id(claim).take()).await;
        let found = kit.leases(worker, claim).await?;
        ensure!(found.is_empty() || found.len() == 10, "after {polls} polls {} leases exist", found.len());
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

/// Whatever came of it: the second is `Done` for all, with the result that it brought.
async fn q22_a_dropped_settle_can_be_repeated(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        let held = kit.claim(kit.worker().await?, 10).await?;
        let settlements: Vec<_> = held.iter().map(|job| (job.token, complete_with(b"once"))).collect();
        drop_after(polls, kit.settle(settlements.clone())).await;
        ensure_eq!(kit.settle(settlements).await?, [Settled::Done; 10], "the settle after {polls} polls");
        for job in jobs {
            let record = kit.record(job).await?;
            let seen = (record.state, record.attempt, record.result);
            ensure_eq!(seen, (State::Completed, 1, Some(b"once".to_vec())), "the job after {polls} polls");
        }
    }
    kit.works().await
}

/// One request is one transaction: all ten were cancelled by the first, or all by the second.
async fn q22_a_dropped_cancel_can_be_repeated(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        let backend = kit.backend()?;
        let request = CancelRequest::new(jobs).at(kit.now());
        let answered = drop_after(polls, backend.cancel(request.clone())).await.is_some();
        let again = backend.cancel(request).await?;
        let late = again.iter().filter(|reply| **reply == CancelReply::Finished(State::Cancelled)).count();
        let done = again.iter().filter(|reply| **reply == CancelReply::Cancelled).count();
        ensure!(
            (done, late) == (0, 10) || (done, late) == (10, 0) && !answered,
            "after {polls} polls the second cancel is answered {again:?}"
        );
    }
    kit.works().await
}

/// The worker is given up with all that it held; each loss is charged and recorded once.
async fn q22_a_dropped_rescue_took_all_or_nothing(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let jobs = kit.insert(batch(kit, 10)).await?;
        kit.claim(kit.worker().await?, 10).await?;
        kit.advance(EXPIRY);
        drop_after(polls, kit.maintain(MaintainRequest::rescue(100))).await;
        let reply = kit.rescue(100).await?;
        let seen = (reply.rescued, reply.workers_lost);
        ensure!(seen == (0, 0) || seen.0 == 10, "after {polls} polls the second rescue took {seen:?}");
        for job in jobs {
            let record = kit.record(job).await?;
            let seen = (record.state, record.attempt, record.errors.len());
            ensure_eq!(seen, (State::Ready, 1, 1), "the job after {polls} polls");
            kit.cancel(job).await?;
        }
    }
    kit.works().await
}

/// Its entry, its heartbeat, its leave.
async fn q22_a_dropped_word_of_a_worker_can_be_repeated(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    for polls in polls() {
        let worker = kit.new_worker_id();
        let entry = RegisterRequest::new(worker, "kit", EXPIRY).at(kit.now());
        let answered = drop_after(polls, backend.register(entry)).await.is_some();
        match kit.try_register(worker).await? {
            Ok(()) => ensure!(!answered, "a worker could be entered twice"),
            Err(error) => drop(fails_with::<()>(Err(error), ErrorKind::Conflict)?),
        }
        kit.advance(EXPIRY / 2);
        drop_after(polls, backend.heartbeat(HeartbeatRequest::new(worker).at(kit.now()))).await;
        kit.heartbeat(worker).await?;
        kit.advance(EXPIRY / 2);
        ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "workers given up after {polls} polls");
        drop_after(polls, kit.retire(worker)).await;
        kit.retire(worker).await?;
        ensure!(kit.is_lost(worker).await?, "the worker lives on after {polls} polls");
    }
    kit.works().await
}

/// Closed at once, and opened again.
async fn q22_a_handle_closed_under_a_dropped_insert_leaves_it_whole(kit: &Kit) -> CaseResult {
    for polls in polls() {
        let before = kit.stored().await?.jobs.len();
        let specs = batch(kit, 50);
        let answered = drop_after(polls, kit.try_insert(specs.clone())).await.is_some();
        kit.reopen().await?;
        let stored = kit.stored().await?.jobs.len() - before;
        ensure!(
            stored == 50 || stored == 0 && !answered,
            "after {polls} polls {stored} of 50 jobs are there"
        );
        kit.try_insert(specs).await??;
        ensure_eq!(kit.stored().await?.jobs.len() - before, 50, "jobs after the second insert");
    }
    kit.works().await
}
