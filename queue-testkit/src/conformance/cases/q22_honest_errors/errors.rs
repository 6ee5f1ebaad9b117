//! Q22: each error has a kind and says whether to try again; the same handle works after any.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{
    CancelReply, CancelRequest, InsertRequest, ListRequest, MaintainRequest, Prune, SettleRequest, Settled,
};
use queue_core::{Error, ErrorKind, State, Timestamp, Token, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, release, retry, snooze};

cases! {
    Fast q22_a_refused_insert_says_why,
    Fast q22_a_worker_that_may_not_is_told_that_it_is_lost,
    Fast q22_a_worker_entered_twice_is_a_conflict,
    Fast q22_what_does_not_exist_is_an_answer_and_no_error,
    Fast q22_a_request_for_nothing_is_answered_with_nothing,
    Fast q22_numbers_and_times_at_their_ends_are_served,
    Fast q22_a_retired_worker_has_taken_its_leave,
    Fast q22_the_handle_works_after_a_thousand_errors,
    Fast q22_an_error_on_one_handle_leaves_the_other_working [MultiProcess],
}

/// The error that such a request must get: not worth repeating, and fit to be shown.
fn refused<T: std::fmt::Debug>(answer: queue_core::Result<T>, kind: ErrorKind) -> anyhow::Result<Error> {
    let error = fails_with(answer, kind)?;
    ensure!(!error.is_retryable(), "the error says that trying again can help: {error}");
    let text = error.to_string();
    ensure!(text.starts_with("failed to "), "the error does not say what failed: {text}");
    let message = error.message();
    ensure!(!message.is_empty() && !message.ends_with('.'), "the message is no part of a sentence: {text}");
    ensure!(!message.starts_with(char::is_uppercase), "the message begins like a sentence: {text}");
    Ok(error)
}

/// An id with other content, a batch that is known in part: a conflict that names the id.
async fn q22_a_refused_insert_says_why(kit: &Kit) -> CaseResult {
    let known = kit.spec("job");
    let id = kit.insert_one(known.clone()).await?;
    let batches =
        [vec![known.clone().priority(1)], vec![kit.spec("job"), known.clone()], vec![known, kit.spec("job")]];
    for batch in batches {
        let error = refused(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
        ensure!(error.jobs().contains(&id), "the error does not carry the id {id}: {error:?}");
        ensure!(error.to_string().contains(&id.to_string()), "the error does not name the id: {error}");
        kit.works().await?;
    }
    Ok(())
}

async fn must_register_anew(kit: &Kit, worker: WorkerId) -> CaseResult {
    let beat = refused(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
    let claim = refused(kit.claiming(worker, 9).attempt().await?, ErrorKind::WorkerLost)?;
    for error in [beat, claim] {
        ensure!(error.to_string().contains(&worker.to_string()), "the error names no worker: {error}");
    }
    kit.works().await
}

/// Unknown, retired, given up.
async fn q22_a_worker_that_may_not_is_told_that_it_is_lost(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job")).await?;
    let (lost, retired) = (kit.worker().await?, kit.worker().await?);
    kit.retire(retired).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    for worker in [kit.new_worker_id(), retired, lost] {
        must_register_anew(kit, worker).await?;
    }
    ensure_eq!(kit.claim(kit.worker().await?, 9).await?.len(), 1, "jobs that nobody took meanwhile");
    Ok(())
}

/// While it lives, and once it was lost; the first entry is not touched by the second.
async fn q22_a_worker_entered_twice_is_a_conflict(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY / 2);
    let error = refused(kit.try_register(worker).await?, ErrorKind::Conflict)?;
    ensure!(error.to_string().contains(&worker.to_string()), "the error names no worker: {error}");
    kit.works().await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 1, "leases after the refused entry");
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    refused(kit.try_register(worker).await?, ErrorKind::Conflict)?;
    ensure_eq!(kit.settle_one(token, complete()).await?, Settled::LeaseLost, "the settle of the lost lease");
    kit.works().await
}

/// Jobs, leases, claims and workers that nobody ever made.
async fn q22_what_does_not_exist_is_an_answer_and_no_error(kit: &Kit) -> CaseResult {
    let (id, worker, claim) = (kit.id_at(kit.now()), kit.new_worker_id(), kit.new_claim_id());
    ensure_eq!(kit.cancel_running(id).await?, CancelReply::NotFound, "a cancel");
    for verdict in [complete(), retry("x", 1), snooze(1), release()] {
        let settled = kit.settle_one(Token { job: id, claim }, verdict).await?;
        ensure_eq!(settled, Settled::LeaseLost, "a settle");
    }
    ensure_eq!(kit.leases(worker, claim).await?, [], "the leases");
    ensure_eq!(kit.find(id).await?, None, "the record");
    kit.retire(worker).await?;
    let mut after_all = ListRequest::new(9);
    after_all.after = Some(queue_core::JobId::from_bytes([0xff; 16]));
    let backend = kit.backend()?;
    if let Some(inspect) = backend.extensions().inspect {
        ensure_eq!(inspect.list(after_all).await?, [], "the list after the last job");
    }
    let reply = kit.maintain(MaintainRequest::rescue(9)).await?;
    ensure_eq!((reply.rescued, reply.died, reply.workers_lost), (0, 0, 0), "upkeep of nothing");
    kit.works().await
}

/// No batches, no settlements, no kinds, a limit of zero: nothing is done, and nothing is wrong.
async fn q22_a_request_for_nothing_is_answered_with_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let backend = kit.backend()?;
    ensure_eq!(backend.insert(InsertRequest::new(Vec::new())).await?.batches.len(), 0, "fates of no batches");
    ensure_eq!(
        backend.settle(SettleRequest::new(worker, Vec::new())).await?.len(),
        0,
        "answers to no settles"
    );
    ensure_eq!(backend.cancel(CancelRequest::new(Vec::new())).await?, [], "answers to no cancels");
    ensure_eq!(kit.claim(worker, 0).await?, [], "a claim of up to 0 jobs");
    ensure_eq!(kit.claiming(worker, 9).kinds(&[]).take().await?.jobs, [], "a claim of no kinds");
    ensure_eq!(kit.claiming(worker, 9).queue("empty").take().await?.jobs, [], "a claim from no queue");
    if let Some(inspect) = backend.extensions().inspect {
        ensure_eq!(inspect.jobs(&[]).await?, [], "records of no ids");
        ensure_eq!(inspect.list(ListRequest::new(0)).await?, [], "a list of up to 0 jobs");
    }
    let reply = kit.maintain(MaintainRequest::promote(0)).await?;
    ensure_eq!((reply.promoted, reply.pruned), (0, 0), "what upkeep of nothing did");
    ensure_eq!(kit.state(id).await?, State::Ready, "the job");
    kit.works().await
}

/// The largest limits, the longest durations, the first and the last moment.
async fn q22_numbers_and_times_at_their_ends_are_served(kit: &Kit) -> CaseResult {
    for now in [Timestamp::UNIX_EPOCH, kit.now(), Timestamp::MAX] {
        kit.set_clock(now);
        let worker = kit.worker_expiring_after(Duration::MAX).await?;
        kit.insert((0..6).map(|_| kit.spec("job").timeout(Duration::MAX)).collect()).await?;
        let held = kit.claim(worker, u32::MAX).await?;
        ensure_eq!(held.len(), 6, "jobs that were claimed at {now}");
        let most = Duration::MAX.as_secs();
        let verdicts = [retry("x", most), snooze(most), retry("x", 0), snooze(0), complete(), release()];
        let settled = kit.settle(held.iter().map(|job| job.token).zip(verdicts).collect()).await?;
        ensure_eq!(settled, [Settled::Done; 6], "the settles at {now}");
        let mut everything = MaintainRequest::promote(u32::MAX);
        everything.rescue = u32::MAX;
        let (most, none) = (Duration::MAX, Duration::ZERO);
        everything.prune = Some(
            Prune::default()
                .completed(most)
                .cancelled(none)
                .dead(most)
                .idempotency_window(most)
                .limit(u32::MAX),
        );
        kit.maintain(everything).await?;
        for row in kit.stored().await?.live {
            kit.cancel(row.id).await?;
        }
        kit.works().await?;
    }
    Ok(())
}

/// Twice is once; and it may not take its leave with another's job in its hands.
async fn q22_a_retired_worker_has_taken_its_leave(kit: &Kit) -> CaseResult {
    let (idle, busy) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(busy).await?.token;
    for worker in [idle, idle, busy, kit.new_worker_id()] {
        kit.retire(worker).await?;
    }
    must_register_anew(kit, idle).await?;
    ensure_eq!(kit.settle_one(token, complete()).await?, Settled::Done, "the settle of the busy worker");
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "jobs of workers that took their leave");
    kit.works().await
}

/// What an error leaves behind, a thousand of them would show.
async fn q22_the_handle_works_after_a_thousand_errors(kit: &Kit) -> CaseResult {
    let known = kit.spec("job");
    kit.insert(vec![known.clone()]).await?;
    let before = kit.stored().await?;
    for _ in 0..250 {
        let other = known.clone().priority(1);
        refused(kit.try_insert(vec![kit.spec("job"), other]).await?, ErrorKind::Conflict)?;
        let nobody = kit.new_worker_id();
        refused(kit.claiming(nobody, 9).attempt().await?, ErrorKind::WorkerLost)?;
        refused(kit.try_heartbeat(nobody).await?, ErrorKind::WorkerLost)?;
        kit.retire(nobody).await?;
    }
    let after = kit.stored().await?;
    ensure_eq!((after.jobs, after.live), (before.jobs, before.live), "what is stored");
    ensure_eq!(after.workers, before.workers, "the workers");
    kit.works().await
}

/// No lock and no transaction is left that the other would wait for.
async fn q22_an_error_on_one_handle_leaves_the_other_working(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    let known = kit.spec("job");
    kit.insert(vec![known.clone()]).await?;
    for _ in 0..20 {
        let batch = vec![kit.spec("job"), known.clone().priority(1)];
        refused(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
        other.works().await?;
        refused(other.claiming(kit.new_worker_id(), 1).attempt().await?, ErrorKind::WorkerLost)?;
        kit.works().await?;
    }
    Ok(())
}
