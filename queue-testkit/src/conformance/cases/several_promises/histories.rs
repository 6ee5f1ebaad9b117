//! What happened to a job before does not change what happens to it next.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{CancelReply, Prune, RetryReply, RetryRequest, Settled, Verdict};
use queue_core::{Attributes, Backoff, JobEnd, JobState, Kind};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{
    EXPIRY, GRACE, cancelled, complete, complete_then, queue, release, retry, snooze,
};
use crate::conformance::wakes::announced;

cases! {
    Fast q20_a_claim_returns_backoff_and_attributes_at_each_attempt,
    Fast q15_a_job_cancelled_by_its_worker_keeps_no_key [UniqueKeys],
    Fast q15_keys_of_kinds_that_join_to_one_text_are_apart [UniqueKeys],
    Fast q10_a_cancel_after_failures_has_no_reason [Watch],
    Fast q10_a_watched_job_that_was_promoted_is_announced [Watch],
    Fast q08_a_held_key_holds_up_no_other_retry_of_its_request [Manage, UniqueKeys],
    Fast q08_a_job_cancelled_before_its_time_is_pruned_by_its_end,
    Fast q08_a_job_that_died_by_a_rescue_is_pruned_as_a_dead_one,
    Fast q09_a_signal_outlives_a_lease_past_its_deadline,
    Fast q17_leases_of_a_paused_queue_past_their_deadline_are_rescued [Manage],
    Fast q15_a_follow_up_with_the_kept_key_of_its_job_is_a_duplicate [UniqueKeys, FollowUps],
    Fast q06_follow_ups_of_a_job_that_was_retried_by_hand_are_stored [FollowUps, Manage],
    Fast q06_follow_ups_of_a_job_whose_cancel_was_asked_for_are_stored [FollowUps],
}

const SECOND: Duration = Duration::from_secs(1);

/// A job with a backoff and attributes fails, is snoozed, released and rescued. Each claim must
/// return both.
async fn q20_a_claim_returns_backoff_and_attributes_at_each_attempt(kit: &Kit) -> CaseResult {
    let backoff = Backoff::new(SECOND * 7, SECOND * 70).with_jitter(13);
    let attributes = Attributes::json(r#"{ "tags": ["a"] }"#)?;
    let expected = (Some(backoff), Some(attributes.clone()));
    let worker = kit.worker().await?;
    let spec = kit.spec("job").max_retries(9).build()?.backoff(backoff).attributes(attributes);
    kit.try_insert_exact(spec).await??;
    for verdict in [retry("failed", 0), snooze(0), release(), complete()] {
        let job = kit.claim_one(worker).await?;
        ensure_eq!((job.backoff, job.attributes), expected, "the job before {verdict:?}");
        if verdict != complete() {
            kit.settle_one(job.token, verdict).await?;
        }
    }
    kit.advance(EXPIRY);
    kit.rescue(9).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    ensure_eq!((job.backoff, job.attributes), expected, "the job after a rescue");
    Ok(())
}

/// A job whose key is kept for an hour is cancelled by the verdict of its worker. Its key must be
/// free at once, because only completed jobs keep theirs.
async fn q15_a_job_cancelled_by_its_worker_keeps_no_key(kit: &Kit) -> CaseResult {
    let keyed = || kit.spec("job").unique_for("key", SECOND * 3600);
    kit.insert_one(keyed()).await?;
    let token = kit.claim_one(kit.worker().await?).await?.token;
    kit.settle_one(token, cancelled("not wanted")).await?;
    let reply = kit.try_insert(vec![keyed()]).await??;
    ensure!(reply.iter().all(|job| job.is_new()), "the key is held: {reply:?}");
    Ok(())
}

/// Kinds and keys are such that each pair is the same text, if it is written without a border.
async fn q15_keys_of_kinds_that_join_to_one_text_are_apart(kit: &Kit) -> CaseResult {
    for (kind, key) in [("a", "bc"), ("ab", "c"), ("a", "b:c"), ("a:b", "c"), ("a", "b/c"), ("a/b", "c")] {
        let spec = kit.spec("job").unique(key).build()?.kind(Kind::new(kind)?);
        let reply = kit.try_insert_exact(spec).await??;
        let is_new = reply.iter().all(|job| job.is_new());
        ensure!(is_new, "the key {key:?} of kind {kind:?} is held: {reply:?}");
    }
    Ok(())
}

/// A job that has failed is cancelled by a request. It must end without a reason, because the
/// request has none.
async fn q10_a_cancel_after_failures_has_no_reason(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, retry("failed", 60)).await?;
    ensure_eq!(kit.cancel(job).await?, CancelReply::Cancelled, "the reply to the cancel");
    ensure_eq!(kit.record(job).await?.error, None, "the error of the cancelled job");
    ensure_eq!(kit.watch(&[job]).await?, [Some(JobEnd::Cancelled { reason: None })], "the end");
    Ok(())
}

/// A job is watched while it waits, and promoted afterwards. Its end must be announced.
async fn q10_a_watched_job_that_was_promoted_is_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for retries in 0..2 {
        let spec = kit.spec("job").run_at(kit.now().saturating_add(SECOND));
        let job = kit.insert_one(spec).await?;
        kit.watch(&[job]).await?;
        kit.advance(SECOND);
        ensure_eq!(kit.promote(9).await?.promoted, 1, "the number of jobs promoted");
        for _ in 0..retries {
            kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 1)).await?;
            kit.advance(SECOND);
            kit.promote(9).await?;
        }
        let token = kit.claim_one(worker).await?.token;
        let mut receiver = kit.backend()?.subscribe();
        kit.settle_one(token, complete()).await?;
        announced(&mut receiver, |all| all.more_finished || all.finished.contains(&job)).await?;
    }
    Ok(())
}

/// Of three jobs with keys, another job holds that of the first and the last. The one between must
/// be retried.
async fn q08_a_held_key_holds_up_no_other_retry_of_its_request(kit: &Kit) -> CaseResult {
    let mut jobs = Vec::new();
    for key in ["first", "free", "last"] {
        jobs.push(kit.insert_one(kit.spec("job").unique(key)).await?);
        kit.cancel(jobs[jobs.len() - 1]).await?;
    }
    let first = kit.insert_one(kit.spec("job").unique("first")).await?;
    let last = kit.insert_one(kit.spec("job").unique("last")).await?;
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let replies = manage.retry(RetryRequest::new(jobs.clone()).at(kit.now())).await?;
    let expected = [RetryReply::KeyHeld(first), RetryReply::Retried, RetryReply::KeyHeld(last)];
    ensure_eq!(replies, expected, "the replies to one request");
    ensure_eq!(kit.state(jobs[1]).await?, JobState::Ready, "the state of the job whose key was free");
    Ok(())
}

/// A job that waits for a year is cancelled. Its retention must count from its end.
async fn q08_a_job_cancelled_before_its_time_is_pruned_by_its_end(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(SECOND * 31_536_000))).await?;
    kit.cancel(job).await?;
    kit.advance(SECOND * 61);
    let prune = Prune::default().cancelled(SECOND * 60).idempotency_window(Duration::ZERO);
    ensure_eq!(kit.prune(prune).await?.pruned, 1, "the number of jobs pruned");
    ensure_eq!(kit.find(job).await?, None, "the job");
    Ok(())
}

/// A lost worker had the last attempt of a job. Dead jobs are kept for a second, and cancelled ones
/// for an hour.
async fn q08_a_job_that_died_by_a_rescue_is_pruned_as_a_dead_one(kit: &Kit) -> CaseResult {
    kit.insert_one(kit.spec("job").max_retries(0)).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(9).await?.died, 1, "the number of jobs that died");
    kit.advance(SECOND * 60);
    let prune = Prune::default().dead(SECOND).cancelled(SECOND * 3600).idempotency_window(Duration::ZERO);
    ensure_eq!(kit.prune(prune).await?.pruned, 1, "the number of jobs pruned");
    Ok(())
}

/// A job is asked to stop, and its lease passes its deadline while its worker lives. The next
/// holder must learn of the signal.
async fn q09_a_signal_outlives_a_lease_past_its_deadline(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(SECOND * 3600).await?;
    let job = kit.insert_one(kit.spec("job").timeout(SECOND)).await?;
    kit.claim_one(worker).await?;
    ensure_eq!(kit.cancel_running(job).await?, CancelReply::Running, "the reply to the cancel");
    kit.advance(SECOND * 2 + GRACE);
    ensure_eq!(kit.rescue(9).await?.rescued, 1, "the number of leases rescued");
    let other = kit.worker().await?;
    ensure_eq!(kit.claim_one(other).await?.token.job, job, "the job of the next claim");
    ensure_eq!(kit.heartbeat(other).await?.cancels, [job], "the cancels in the heartbeat of its holder");
    Ok(())
}

/// Leases of two queues pass their deadlines. The queue whose lease ends first is paused. A rescue
/// must end both.
async fn q17_leases_of_a_paused_queue_past_their_deadline_are_rescued(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(SECOND * 3600).await?;
    for (name, seconds) in [("paused", 1), ("open", 2)] {
        kit.insert_one(kit.spec("job").queue(name).timeout(SECOND * seconds)).await?;
        kit.claiming(worker, 1).queue(name).take().await?;
    }
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&queue("paused")?).await?;
    kit.advance(SECOND * 3 + GRACE);
    ensure_eq!(kit.rescue(9).await?.rescued, 2, "the number of leases rescued");
    Ok(())
}

/// A job whose key is kept completes with a follow-up of the same kind and key. The follow-up must
/// not be stored.
async fn q15_a_follow_up_with_the_kept_key_of_its_job_is_a_duplicate(kit: &Kit) -> CaseResult {
    let keyed = || kit.spec("job").unique_for("key", SECOND * 3600);
    let job = kit.insert_one(keyed()).await?;
    let token = kit.claim_one(kit.worker().await?).await?.token;
    kit.settle_one(token, complete_then([keyed().build()?])).await?;
    ensure_eq!(kit.stored().await?.jobs, [job], "the jobs that are stored");
    Ok(())
}

/// Completes the job that is claimed next, with a follow-up. It must be stored.
async fn completes_with_a_follow_up(kit: &Kit, before: impl AsyncFnOnce() -> CaseResult) -> CaseResult {
    let token = kit.claim_one(kit.worker().await?).await?.token;
    before().await?;
    let follow_up = kit.spec("follow").build()?;
    let id = follow_up.id;
    let verdict: Verdict = complete_then([follow_up]);
    ensure_eq!(kit.settle_one(token, verdict).await?, Settled::Done, "the reply to the settle");
    ensure_eq!(kit.state(token.job).await?, JobState::Completed, "the state of the job");
    ensure_eq!(kit.state(id).await?, JobState::Ready, "the state of the follow-up");
    Ok(())
}

async fn q06_follow_ups_of_a_job_that_was_retried_by_hand_are_stored(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    kit.retry(job).await?;
    completes_with_a_follow_up(kit, async || Ok(())).await
}

async fn q06_follow_ups_of_a_job_whose_cancel_was_asked_for_are_stored(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job")).await?;
    completes_with_a_follow_up(kit, async || {
        ensure_eq!(kit.cancel_running(job).await?, CancelReply::Running, "the reply to the cancel");
        Ok(())
    })
    .await
}
