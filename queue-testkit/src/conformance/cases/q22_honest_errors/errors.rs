//! Q22: each error has a kind and retry advice, and the handle works after each error.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{
    CancelReply, CancelRequest, InsertRequest, ListRequest, MaintainRequest, Prune, SettleRequest, Settled,
};
use queue_core::{Error, ErrorKind, JobState, Timestamp, Token, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, release, retry, snooze};

cases! {
    Fast q22_a_refused_insert_says_why,
    Fast q22_a_worker_that_may_not_is_told_that_it_is_lost,
    Fast q22_a_worker_entered_twice_is_a_conflict,
    Fast q22_a_claim_that_fails_promotes_nothing,
    Fast q22_what_does_not_exist_is_an_answer_and_no_error,
    Fast q22_a_request_for_nothing_is_answered_with_nothing,
    Fast q22_numbers_and_times_at_their_ends_are_served,
    Fast q22_a_retired_worker_has_taken_its_leave,
    Fast q22_the_handle_works_after_a_thousand_errors,
    Fast q22_an_error_on_one_handle_leaves_the_other_working [MultiProcess],
}

/// Checks that the error has this kind, is not retryable, and has a message of the agreed form.
fn refused<T: std::fmt::Debug>(answer: queue_core::Result<T>, kind: ErrorKind) -> anyhow::Result<Error> {
    let error = fails_with(answer, kind)?;
    ensure!(!error.is_retryable(), "the error is marked as retryable: {error}");
    let text = error.to_string();
    ensure!(text.starts_with("failed to "), "the error does not begin with \"failed to\": {text}");
    let message = error.message();
    ensure!(
        !message.is_empty() && !message.ends_with('.'),
        "the message is empty or ends with a full stop: {text}"
    );
    ensure!(!message.starts_with(char::is_uppercase), "the message begins with a capital letter: {text}");
    Ok(error)
}

/// An insert reuses an id with other content, or a batch is known in part. The insert must return a
/// `Conflict` that names the id.
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

async fn expect_worker_lost(kit: &Kit, worker: WorkerId) -> CaseResult {
    let beat = refused(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
    let claim = refused(kit.claiming(worker, 9).attempt().await?, ErrorKind::WorkerLost)?;
    for error in [beat, claim] {
        ensure!(
            error.to_string().contains(&worker.to_string()),
            "the error does not name the worker: {error}"
        );
    }
    kit.works().await
}

/// An unknown, a retired or a lost worker sends a heartbeat or a claim. Both must return
/// `WorkerLost`.
async fn q22_a_worker_that_may_not_is_told_that_it_is_lost(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job")).await?;
    let (lost, retired) = (kit.worker().await?, kit.worker().await?);
    kit.retire(retired).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    for worker in [kit.new_worker_id(), retired, lost] {
        expect_worker_lost(kit, worker).await?;
    }
    ensure_eq!(
        kit.claim(kit.worker().await?, 9).await?.len(),
        1,
        "the number of jobs that another worker can claim"
    );
    Ok(())
}

/// A worker registers a second time, while alive and after it was lost. The backend must return
/// `Conflict` and leave the first registration unchanged.
async fn q22_a_worker_entered_twice_is_a_conflict(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY / 2);
    let error = refused(kit.try_register(worker).await?, ErrorKind::Conflict)?;
    ensure!(error.to_string().contains(&worker.to_string()), "the error does not name the worker: {error}");
    kit.works().await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 1, "the number of leases after the refused registration");
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    refused(kit.try_register(worker).await?, ErrorKind::Conflict)?;
    ensure_eq!(
        kit.settle_one(token, complete()).await?,
        Settled::LeaseLost,
        "the reply to a settle of the lost lease"
    );
    kit.works().await
}

/// A lost worker claims while a job is due. The claim must fail and change nothing.
async fn q22_a_claim_that_fails_promotes_nothing(kit: &Kit) -> CaseResult {
    let lost = kit.worker().await?;
    let due = kit.now().saturating_add(EXPIRY);
    let id = kit.insert_one(kit.spec("job").run_at(due)).await?;
    kit.set_clock(due);
    kit.rescue(9).await?;
    refused(kit.claiming(lost, 9).attempt().await?, ErrorKind::WorkerLost)?;
    ensure_eq!(kit.state(id).await?, JobState::Scheduled, "the state of the job after the failed claim");
    Ok(())
}

/// Requests name jobs, leases, claims and workers that never existed. The backend must answer them
/// without an error.
async fn q22_what_does_not_exist_is_an_answer_and_no_error(kit: &Kit) -> CaseResult {
    let (id, worker, claim) = (kit.id_at(kit.now()), kit.new_worker_id(), kit.new_claim_id());
    ensure_eq!(
        kit.cancel_running(id).await?,
        CancelReply::NotFound,
        "the reply to a cancel of an unknown job"
    );
    for verdict in [complete(), retry("x", 1), snooze(1), release()] {
        let settled = kit.settle_one(Token { job: id, claim }, verdict).await?;
        ensure_eq!(settled, Settled::LeaseLost, "the reply to a settle of an unknown lease");
    }
    ensure_eq!(kit.leases(worker, claim).await?, [], "the leases of an unknown worker");
    ensure_eq!(kit.find(id).await?, None, "the record of an unknown job");
    kit.retire(worker).await?;
    let mut after_all = ListRequest::new(9);
    after_all.after = Some(queue_core::JobId::from_bytes([0xff; 16]));
    let backend = kit.backend()?;
    if let Some(inspect) = backend.extensions().inspect {
        ensure_eq!(inspect.list(after_all).await?, [], "the list after the last job");
    }
    let reply = kit.maintain(MaintainRequest::rescue(9)).await?;
    ensure_eq!(
        (reply.rescued, reply.died, reply.workers_lost),
        (0, 0, 0),
        "the reply to upkeep of an empty storage"
    );
    kit.works().await
}

/// Requests hold no batches, no settlements or no kinds, or have a limit of zero. Each must succeed
/// and change nothing.
async fn q22_a_request_for_nothing_is_answered_with_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let backend = kit.backend()?;
    ensure_eq!(
        backend.insert(InsertRequest::new(Vec::new())).await?.batches.len(),
        0,
        "the number of replies to no batches"
    );
    ensure_eq!(
        backend.settle(SettleRequest::new(worker, Vec::new())).await?.len(),
        0,
        "the number of replies to no settles"
    );
    ensure_eq!(backend.cancel(CancelRequest::new(Vec::new())).await?, [], "the replies to no cancels");
    ensure_eq!(kit.claim(worker, 0).await?, [], "a claim with limit 0");
    ensure_eq!(kit.claiming(worker, 9).kinds(&[]).take().await?.jobs, [], "a claim of no kinds");
    ensure_eq!(
        kit.claiming(worker, 9).queue("empty").take().await?.jobs,
        [],
        "a claim from a queue without jobs"
    );
    if let Some(inspect) = backend.extensions().inspect {
        ensure_eq!(inspect.jobs(&[]).await?, [], "the records of no ids");
        ensure_eq!(inspect.list(ListRequest::new(0)).await?, [], "a list with limit 0");
    }
    let reply = kit.maintain(MaintainRequest::promote(0)).await?;
    ensure_eq!(
        (reply.promoted, reply.pruned),
        (0, 0),
        "the numbers of jobs promoted and pruned with limit 0"
    );
    ensure_eq!(kit.state(id).await?, JobState::Ready, "the state of the job");
    kit.works().await
}

/// Requests use the largest limits, the longest durations, and the first and last time. Each must
/// succeed.
async fn q22_numbers_and_times_at_their_ends_are_served(kit: &Kit) -> CaseResult {
    for now in [Timestamp::UNIX_EPOCH, kit.now(), Timestamp::MAX] {
        kit.set_clock(now);
        let worker = kit.worker_expiring_after(Duration::MAX).await?;
        kit.insert((0..6).map(|_| kit.spec("job").timeout(Duration::MAX)).collect()).await?;
        let held = kit.claim(worker, u32::MAX).await?;
        ensure_eq!(held.len(), 6, "the number of jobs claimed at {now}");
        let most = Duration::MAX.as_secs();
        let verdicts = [retry("x", most), snooze(most), retry("x", 0), snooze(0), complete(), release()];
        let settled = kit.settle(held.iter().map(|job| job.token).zip(verdicts).collect()).await?;
        ensure_eq!(settled, [Settled::Done; 6], "the replies to the settles at {now}");
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

/// A worker retires, idle or with a lease, once or twice. An idle worker must be lost afterwards. A
/// lease must stay valid until it is settled, and must not be rescued afterwards.
async fn q22_a_retired_worker_has_taken_its_leave(kit: &Kit) -> CaseResult {
    let (idle, busy) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(busy).await?.token;
    for worker in [idle, idle, busy, kit.new_worker_id()] {
        kit.retire(worker).await?;
    }
    expect_worker_lost(kit, idle).await?;
    ensure_eq!(
        kit.settle_one(token, complete()).await?,
        Settled::Done,
        "the reply to a settle of the retired worker"
    );
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of jobs rescued from retired workers");
    kit.works().await
}

/// A handle returns a thousand errors. It must still work, because each error must free its
/// resources.
async fn q22_the_handle_works_after_a_thousand_errors(kit: &Kit) -> CaseResult {
    let known = kit.spec("job");
    kit.insert(vec![known.clone()]).await?;
    let before = kit.stored().await?;
    for _ in 0..250 {
        let other = known.clone().priority(1);
        refused(kit.try_insert(vec![kit.spec("job"), other]).await?, ErrorKind::Conflict)?;
        let unknown = kit.new_worker_id();
        refused(kit.claiming(unknown, 9).attempt().await?, ErrorKind::WorkerLost)?;
        refused(kit.try_heartbeat(unknown).await?, ErrorKind::WorkerLost)?;
        kit.retire(unknown).await?;
    }
    let after = kit.stored().await?;
    ensure_eq!((after.jobs, after.live), (before.jobs, before.live), "the stored jobs after the errors");
    ensure_eq!(after.workers, before.workers, "the workers after the errors");
    kit.works().await
}

/// One handle returns errors. The other must not wait, because an error must leave no lock and no
/// transaction open.
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
