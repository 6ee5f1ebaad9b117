//! Q9: the reply to a cancel names the state that the cancel met.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{CancelReply, CancelRequest, Completion, Prune, Verdict};
use queue_core::{Enqueuer as _, ErrorKind, JobId, JobQueue, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, complete, release, retry, snooze};
use crate::conformance::wakes::{announced, announced_so_far};

cases! {
    Fast q09_a_job_that_waits_is_cancelled_and_never_starts,
    Fast q09_a_cancelled_job_keeps_what_happened_to_it,
    Fast q09_a_running_job_is_left_alone_unless_it_is_to_be_signalled,
    Fast q09_a_signal_reaches_the_holder_and_nobody_else,
    Fast q09_a_signal_outlives_the_lease,
    Fast q09_a_signalled_job_may_still_complete,
    Fast q09_each_cancel_of_a_request_is_answered_by_itself,
    Fast q09_not_found_is_said_only_of_what_does_not_exist,
    Fast q09_dequeue_says_what_it_met,
    Fast q09_a_cancel_holds_when_the_storage_is_opened_again [Durable],
    Fast q09_a_signal_reaches_a_holder_in_another_process [MultiProcess],
}

/// Scheduled, ready, retrying and rescued jobs are cancelled. No promotion, rescue, elapsed time or
/// repeated insert may make them claimable.
async fn q09_a_job_that_waits_is_cancelled_and_never_starts(kit: &Kit) -> CaseResult {
    let (failing, lost) = (kit.spec("job"), kit.spec("job"));
    let later = kit.now().saturating_add(EXPIRY * 2);
    let specs = [failing, lost, kit.spec("job").run_at(later), kit.spec("job")];
    kit.insert(specs[..2].to_vec()).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, retry("failed", 5)).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    kit.insert(specs[2..].to_vec()).await?;
    let states = [JobState::Retrying, JobState::Ready, JobState::Scheduled, JobState::Ready];
    for (spec, state) in specs.iter().zip(states) {
        let id = spec.clone().build()?.id;
        ensure_eq!(kit.state(id).await?, state, "the state before the cancel");
        ensure_eq!(kit.cancel(id).await?, CancelReply::Cancelled, "the reply to a cancel of a {state} job");
    }
    for _ in 0..3 {
        kit.advance(EXPIRY * 2);
        kit.promote(10).await?;
        kit.rescue(10).await?;
        for spec in &specs {
            ensure!(
                !kit.try_insert(vec![spec.clone()]).await??[0].is_new(),
                "a cancelled job was inserted again"
            );
        }
        ensure_eq!(kit.claim(kit.worker().await?, 10).await?, [], "a claim after the cancels");
    }
    Ok(())
}

/// A job with failed attempts is cancelled. Its attempts and errors must stay, and the cancel must
/// add no error.
async fn q09_a_cancelled_job_keeps_what_happened_to_it(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    for error in ["first", "second"] {
        kit.settle_one(kit.claim_one(worker).await?.token, retry(error, 0)).await?;
    }
    let before = kit.record(id).await?;
    let cancelled_at = kit.advance(Duration::from_secs(3));
    kit.cancel(id).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.attempt, record.errors), (2, before.errors), "the attempt and errors");
    ensure_eq!(record.finished_at, Some(cancelled_at), "finished_at");
    ensure_eq!((record.result, record.progress), (None, None), "the result and progress");
    let claim = kit.stored().await?.outcomes[0].claim;
    ensure_eq!(claim, None, "the claim of the outcome");
    Ok(())
}

/// A caller cancels a running job without a signal. Neither the holder nor a subscriber may be
/// notified, and the job must not change.
async fn q09_a_running_job_is_left_alone_unless_it_is_to_be_signalled(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let held = kit.claim_one(worker).await?;
    let before = kit.record(id).await?;
    let mut wakes = kit.backend()?.subscribe();
    ensure_eq!(kit.cancel(id).await?, CancelReply::Running, "the reply to the cancel");
    ensure_eq!(announced_so_far(kit, &mut wakes).await?.cancels, [], "the cancels announced to a subscriber");
    ensure_eq!(kit.heartbeat(worker).await?.cancels, [], "the cancels in the holder's heartbeat reply");
    ensure_eq!(kit.record(id).await?, before, "the running job");
    kit.settle_one(held.token, complete()).await?;
    Ok(())
}

/// A caller cancels a running job with a signal. A wake-up and each heartbeat of the holder must
/// name the job. Other workers' heartbeats must not.
async fn q09_a_signal_reaches_the_holder_and_nobody_else(kit: &Kit) -> CaseResult {
    let (holder, other) = (kit.worker().await?, kit.worker().await?);
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(holder, 2).await?;
    kit.claim(other, 1).await?;
    let mut wakes = kit.backend()?.subscribe();
    let wanted = held[1].token;
    ensure_eq!(kit.cancel_running(wanted.job).await?, CancelReply::Running, "the reply to the cancel");
    let woken = announced(&mut wakes, |all| !all.cancels.is_empty()).await?;
    ensure!(woken.unknown || woken.cancels == [wanted.job], "the wake-up names other cancels: {woken:?}");
    for _ in 0..3 {
        ensure_eq!(
            kit.heartbeat(holder).await?.cancels,
            [wanted.job],
            "the cancels in the holder's heartbeat reply"
        );
        ensure_eq!(
            kit.heartbeat(other).await?.cancels,
            [],
            "the cancels in another worker's heartbeat reply"
        );
    }
    kit.settle_one(wanted, Verdict::Cancel { reason: "as asked".to_owned() }).await?;
    ensure_eq!(
        kit.heartbeat(holder).await?.cancels,
        [],
        "the cancels in the holder's heartbeat reply after the settle"
    );
    let record = kit.record(wanted.job).await?;
    ensure_eq!(record.state, JobState::Cancelled, "the state");
    ensure_eq!(record.error.as_deref(), Some("as asked"), "the reason");
    Ok(())
}

/// A signalled job is released, snoozed, retried or rescued. The heartbeat of the next holder must
/// name it.
async fn q09_a_signal_outlives_the_lease(kit: &Kit) -> CaseResult {
    let ends: [Option<Verdict>; 4] = [Some(release()), Some(snooze(0)), Some(retry("failed", 0)), None];
    for end in ends {
        let what = format!("{end:?}");
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(kit.worker().await?).await?.token;
        kit.cancel_running(id).await?;
        if let Some(verdict) = end {
            kit.settle_one(token, verdict).await?;
        } else {
            kit.advance(EXPIRY);
            kit.rescue(10).await?;
        }
        let next = kit.worker().await?;
        let token = kit.claim_one(next).await?.token;
        ensure_eq!(
            kit.heartbeat(next).await?.cancels,
            [id],
            "the cancels in the next holder's heartbeat reply after {what}"
        );
        kit.settle_one(token, complete()).await?;
    }
    Ok(())
}

/// A signalled job completes. Its result must be stored, and a further cancel must return
/// `Finished`.
async fn q09_a_signalled_job_may_still_complete(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.cancel_running(id).await?;
    kit.settle_one(token, Verdict::Complete(Completion::new().result(b"done".to_vec()))).await?;
    ensure_eq!(
        kit.cancel_running(id).await?,
        CancelReply::Finished(JobState::Completed),
        "the reply to the second cancel"
    );
    let record = kit.record(id).await?;
    ensure_eq!(
        (record.state, record.result),
        (JobState::Completed, Some(b"done".to_vec())),
        "the state and result of the job"
    );
    Ok(())
}

/// One request cancels sixty jobs in four situations. Each must get its own reply, in request
/// order.
async fn q09_each_cancel_of_a_request_is_answered_by_itself(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut jobs = Vec::new();
    let mut expected = Vec::new();
    for index in 0..60 {
        let id = kit.insert_one(kit.spec("job")).await?;
        expected.push(match index % 4 {
            0 => CancelReply::Cancelled,
            1 => {
                kit.cancel(id).await?;
                CancelReply::Finished(JobState::Cancelled)
            }
            2 => {
                let reply = kit.claiming(worker, 100).take().await?;
                // This claim also returned jobs of earlier turns that still waited.
                for job in reply.jobs.iter().filter(|job| job.token.job != id) {
                    kit.settle_one(job.token, release()).await?;
                }
                CancelReply::Running
            }
            _ => CancelReply::NotFound,
        });
        jobs.push(if index % 4 == 3 { kit.id_at(kit.now()) } else { id });
    }
    // The request goes from newest to oldest, so that its order is not the order of the ids.
    jobs.reverse();
    expected.reverse();
    let request = CancelRequest::new(jobs.clone()).at(kit.now());
    let replies = kit.backend()?.cancel(request).await?;
    ensure_eq!(replies, expected, "the replies");
    Ok(())
}

/// A caller cancels a job that never existed, one of a refused batch and a pruned one. Only these
/// may return `NotFound`.
async fn q09_not_found_is_said_only_of_what_does_not_exist(kit: &Kit) -> CaseResult {
    ensure_eq!(
        kit.cancel(kit.id_at(kit.now())).await?,
        CancelReply::NotFound,
        "the reply for a job that never existed"
    );
    let taken = kit.insert_one(kit.spec("job").queue("elsewhere").payload("1")).await?;
    let spec = kit.spec("job");
    let refused = spec.clone().build()?.id;
    let batch = vec![spec, kit.spec("job").id(taken).payload("2")];
    fails_with(kit.try_insert(batch).await?, ErrorKind::Conflict)?;
    ensure_eq!(kit.cancel(refused).await?, CancelReply::NotFound, "the reply for a job of a refused batch");
    ensure_eq!(kit.cancel(taken).await?, CancelReply::Cancelled, "the reply for a job of another queue");

    let none = Prune::default().cancelled(Duration::ZERO).idempotency_window(Duration::ZERO);
    ensure_eq!(
        kit.cancel(taken).await?,
        CancelReply::Finished(JobState::Cancelled),
        "the reply for a job before it is pruned"
    );
    kit.advance(Duration::from_secs(1) + TICK);
    ensure_eq!(kit.prune(none).await?.pruned, 1, "the number of jobs pruned");
    ensure_eq!(kit.cancel(taken).await?, CancelReply::NotFound, "the reply for a job after it was pruned");
    Ok(())
}

/// An application calls `dequeue` on jobs in each situation. The four replies of a cancel must
/// reach it.
async fn q09_dequeue_says_what_it_met(kit: &Kit) -> CaseResult {
    let client = JobQueue::new(kit.backend()?);
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 2).await?;
    kit.settle_one(held[0].token, complete()).await?;
    let expected = [
        (jobs[0], CancelReply::Finished(JobState::Completed)),
        (jobs[1], CancelReply::Running),
        (jobs[2], CancelReply::Cancelled),
        (jobs[2], CancelReply::Finished(JobState::Cancelled)),
        (JobId::generate(), CancelReply::NotFound),
    ];
    for (job, expected) in expected {
        ensure_eq!(client.dequeue(job).await?, expected, "the reply to a dequeue of job {job}");
    }
    ensure_eq!(
        kit.heartbeat(worker).await?.cancels,
        [],
        "the cancels in the heartbeat reply, which a dequeue must not signal"
    );
    Ok(())
}

/// The handle is reopened. A cancelled job must stay cancelled, and the signal for a running job
/// must persist.
async fn q09_a_cancel_holds_when_the_storage_is_opened_again(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let running = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(worker).await?;
    let waiting = kit.insert_one(kit.spec("job")).await?;
    kit.cancel(waiting).await?;
    kit.cancel_running(running).await?;
    kit.reopen().await?;
    ensure_eq!(kit.claim(worker, 9).await?, [], "the jobs that can be claimed");
    ensure_eq!(
        kit.cancel(waiting).await?,
        CancelReply::Finished(JobState::Cancelled),
        "the reply to the second cancel"
    );
    ensure_eq!(
        kit.heartbeat(worker).await?.cancels,
        [running],
        "the cancels in the holder's heartbeat reply"
    );
    Ok(())
}

/// A handle signals a job whose holder is in another process. The holder's next heartbeat must name
/// the job, even without a wake-up.
async fn q09_a_signal_reaches_a_holder_in_another_process(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    let holder = other.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = other.claim_one(holder).await?.token;
    ensure_eq!(kit.cancel_running(id).await?, CancelReply::Running, "the reply to the cancel");
    ensure_eq!(other.heartbeat(holder).await?.cancels, [id], "the cancels in the holder's heartbeat reply");
    other.settle_one(token, complete()).await?;
    ensure_eq!(
        kit.cancel(id).await?,
        CancelReply::Finished(JobState::Completed),
        "the reply to a cancel after the settle"
    );
    Ok(())
}
