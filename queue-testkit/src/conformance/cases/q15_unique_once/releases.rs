//! Q15: when a job holds its key, and when it releases it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{CancelReply, Prune, RetryReply, RetryRequest, Settled};
use queue_core::{Insertion, JobId, JobState};

use super::fast::insert;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, TICK, bury, cancelled, complete, release, retry, snooze};
use crate::conformance::spec::Spec;

cases! {
    Fast q15_an_unfinished_job_holds_its_key [UniqueKeys],
    Fast q15_a_rescued_job_holds_its_key [UniqueKeys],
    Fast q15_a_settled_end_releases_the_key [UniqueKeys],
    Fast q15_a_cancel_before_the_start_releases_the_key [UniqueKeys],
    Fast q15_a_job_that_dies_by_rescue_releases_the_key [UniqueKeys],
    Fast q15_a_job_that_dies_by_its_deadline_releases_the_key [UniqueKeys],
    Fast q15_a_completed_job_holds_its_key_for_the_time_it_is_kept [UniqueKeys],
    Fast q15_a_job_that_did_not_complete_keeps_no_key [UniqueKeys],
    Fast q15_a_kept_key_outlives_its_pruned_job [UniqueKeys],
    Fast q15_a_stale_settle_releases_no_key [UniqueKeys],
    Fast q15_the_end_of_one_job_releases_no_other_key [UniqueKeys],
    Fast q15_a_retried_job_takes_its_key_again [UniqueKeys, Manage],
    Fast q15_a_retry_is_refused_while_another_job_holds_the_key [UniqueKeys, Manage],
    Fast q15_of_jobs_of_one_key_the_first_of_a_request_is_retried [UniqueKeys, Manage],
    Fast q15_a_retried_job_holds_the_key_that_it_had_kept [UniqueKeys, Manage],
    Fast q15_a_key_is_as_durable_as_its_job [UniqueKeys, Durable],
    Fast q15_a_job_completed_in_a_transaction_releases_or_keeps_its_key [UniqueKeys, Transactions],
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn unique(kit: &Kit) -> Spec {
    kit.spec("job").unique("a")
}

/// Fails unless this job holds the key.
async fn is_held_by(kit: &Kit, holder: JobId, when: &str) -> CaseResult {
    let reply = insert(kit, unique(kit)).await?;
    ensure_eq!((reply.id, reply.insertion), (holder, Insertion::Duplicate), "the reply to an insert {when}");
    Ok(())
}

/// Fails unless the key is free, and returns the job that holds it now.
async fn is_free(kit: &Kit, when: &str) -> anyhow::Result<JobId> {
    let reply = insert(kit, unique(kit)).await?;
    ensure!(reply.is_new(), "the key is not free {when}: {reply:?}");
    Ok(reply.id)
}

/// The job is scheduled, ready, running, released, snoozed and retrying. It must hold the key in
/// each of these states.
async fn q15_an_unfinished_job_holds_its_key(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(unique(kit).run_at(kit.now().saturating_add(HOUR))).await?;
    is_held_by(kit, id, "while the job is scheduled").await?;
    kit.advance(HOUR);
    kit.promote(1).await?;
    is_held_by(kit, id, "while the job is ready").await?;
    for (verdict, state) in [
        (release(), JobState::Ready),
        (snooze(60), JobState::Scheduled),
        (retry("no", 60), JobState::Retrying),
    ] {
        let worker = kit.worker().await?;
        let job = kit.claim_one(worker).await?;
        is_held_by(kit, id, "while the job runs").await?;
        kit.settle_one(job.token, verdict).await?;
        ensure_eq!(kit.state(id).await?, state, "the state of the job");
        is_held_by(kit, id, &format!("while the job is {state}")).await?;
        kit.advance(Duration::from_secs(60));
    }
    Ok(())
}

/// The worker of the job is lost. The job must hold its key before the rescue and after it.
async fn q15_a_rescued_job_holds_its_key(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(unique(kit)).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    is_held_by(kit, id, "before the rescue").await?;
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of rescued jobs");
    is_held_by(kit, id, "after the rescue").await
}

/// A job is completed, buried, cancelled by its worker, and fails its last attempt. Each must
/// release the key at once.
async fn q15_a_settled_end_releases_the_key(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for (verdict, end) in [
        (complete(), "completed"),
        (bury("no"), "buried"),
        (cancelled("no"), "cancelled"),
        (retry("no", 1), "used up"),
    ] {
        let retries = u16::from(end != "used up");
        let id = kit.insert_one(unique(kit).max_retries(retries)).await?;
        let job = kit.claim_one(worker).await?;
        ensure_eq!(
            kit.settle_one(job.token, verdict).await?,
            Settled::Done,
            "the settle of a job to be {end}"
        );
        let next = is_free(kit, &format!("after the job was {end}")).await?;
        ensure!(next != id, "the ended job holds the key");
        kit.cancel(next).await?;
    }
    ensure_eq!(kit.stored().await?.unique_keys, [], "the keys that are held");
    Ok(())
}

/// A scheduled, a ready and a retrying job are cancelled. Each must release the key at once.
async fn q15_a_cancel_before_the_start_releases_the_key(kit: &Kit) -> CaseResult {
    let scheduled = kit.insert_one(unique(kit).run_at(kit.now().saturating_add(HOUR))).await?;
    ensure_eq!(kit.cancel(scheduled).await?, CancelReply::Cancelled, "the cancel of the scheduled job");
    let ready = is_free(kit, "after the scheduled job was cancelled").await?;
    ensure_eq!(kit.cancel(ready).await?, CancelReply::Cancelled, "the cancel of the ready job");
    let retrying = is_free(kit, "after the ready job was cancelled").await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    ensure_eq!(kit.cancel_running(retrying).await?, CancelReply::Running, "the cancel of the running job");
    is_held_by(kit, retrying, "while the cancelled job runs").await?;
    kit.settle_one(job.token, retry("no", 60)).await?;
    ensure_eq!(kit.cancel(retrying).await?, CancelReply::Cancelled, "the cancel of the retrying job");
    is_free(kit, "after the retrying job was cancelled").await?;
    Ok(())
}

/// A lost worker had the last attempt of the job.
async fn q15_a_job_that_dies_by_rescue_releases_the_key(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(unique(kit).max_retries(0)).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.died, 1, "the number of jobs that died");
    is_free(kit, "after the job died").await?;
    ensure_eq!(kit.state(id).await?, JobState::Dead, "the state of the first job");
    Ok(())
}

/// The last attempt of the job passes its deadline.
async fn q15_a_job_that_dies_by_its_deadline_releases_the_key(kit: &Kit) -> CaseResult {
    let timeout = Duration::from_secs(60);
    kit.insert_one(unique(kit).max_retries(0).timeout(timeout)).await?;
    let worker = kit.worker_expiring_after(HOUR).await?;
    kit.claim_one(worker).await?;
    kit.advance(timeout + GRACE);
    ensure_eq!(kit.rescue(10).await?.died, 1, "the number of jobs that died");
    is_free(kit, "after the job died").await?;
    Ok(())
}

/// A completed job keeps its key for an hour. An insert just before the end must be a duplicate,
/// and one at the end must be new.
async fn q15_a_completed_job_holds_its_key_for_the_time_it_is_kept(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").unique_for("a", HOUR)).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.advance(Duration::from_secs(5));
    kit.settle_one(job.token, complete()).await?;
    is_held_by(kit, id, "after the job was completed").await?;
    kit.advance(HOUR - TICK);
    is_held_by(kit, id, "just before the end of the time").await?;
    kit.advance(TICK);
    let next = is_free(kit, "at the end of the time").await?;
    is_held_by(kit, next, "after the key was taken anew").await?;
    Ok(())
}

/// A job with a kept key is buried, and another one is cancelled before its start.
async fn q15_a_job_that_did_not_complete_keeps_no_key(kit: &Kit) -> CaseResult {
    let kept = || kit.spec("job").unique_for("a", HOUR);
    kit.insert_one(kept()).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(job.token, bury("no")).await?;
    let second = insert(kit, kept()).await?;
    ensure!(second.is_new(), "a dead job keeps the key: {second:?}");
    kit.cancel(second.id).await?;
    is_free(kit, "after the second job was cancelled").await?;
    Ok(())
}

/// A completed job keeps its key for ninety days, and is pruned after one. Its key must stay held,
/// also when the same job is inserted again, and must be removed after its time.
async fn q15_a_kept_key_outlives_its_pruned_job(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").unique_for("a", 90 * DAY)).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(job.token, complete()).await?;
    let prune = || Prune::default().completed(HOUR).idempotency_window(HOUR);
    kit.advance(2 * DAY);
    ensure_eq!(kit.prune(prune()).await?.pruned, 1, "the number of pruned jobs");
    ensure_eq!(kit.find(id).await?, None, "the pruned job");
    is_held_by(kit, id, "after the job was pruned").await?;
    let again = insert(kit, unique(kit).id(id)).await?;
    ensure_eq!(again.insertion, Insertion::Duplicate, "the insertion of the pruned job");
    kit.advance(88 * DAY);
    kit.prune(prune()).await?;
    ensure_eq!(kit.stored().await?.unique_keys, [], "the keys that are held after ninety days");
    is_free(kit, "after ninety days").await?;
    Ok(())
}

/// A worker that lost its lease settles the job. The key must stay held.
async fn q15_a_stale_settle_releases_no_key(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(unique(kit)).await?;
    let stale = kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    ensure_eq!(kit.settle_one(stale.token, complete()).await?, Settled::LeaseLost, "the stale settle");
    is_held_by(kit, id, "after a stale settle").await?;
    kit.claim_one(kit.worker().await?).await?;
    ensure_eq!(kit.settle_one(stale.token, bury("no")).await?, Settled::LeaseLost, "the second stale settle");
    is_held_by(kit, id, "after a second stale settle").await
}

/// Of two jobs of one request, each with a key, one is completed and one is retried.
async fn q15_the_end_of_one_job_releases_no_other_key(kit: &Kit) -> CaseResult {
    let ids = kit.insert(vec![unique(kit), kit.spec("job").unique("b"), kit.spec("job")]).await?;
    let jobs = kit.claim(kit.worker().await?, 3).await?;
    let token = |id: JobId| {
        let job = jobs.iter().find(|job| job.token.job == id);
        job.map(|job| job.token).with_context(|| format!("job {id} was not claimed"))
    };
    let verdicts =
        vec![(token(ids[2])?, complete()), (token(ids[0])?, retry("no", 60)), (token(ids[1])?, complete())];
    kit.settle(verdicts).await?;
    is_held_by(kit, ids[0], "after another job was completed").await?;
    let other = insert(kit, kit.spec("job").unique("b")).await?;
    ensure!(other.is_new(), "the completed job holds its key: {other:?}");
    Ok(())
}

/// After the storage is opened again, held and kept keys must be held, and released ones free.
async fn q15_a_key_is_as_durable_as_its_job(kit: &Kit) -> CaseResult {
    let unfinished = kit.insert_one(kit.spec("job").unique("unfinished").priority(-1)).await?;
    let kept = kit.insert_one(kit.spec("job").unique_for("kept", Duration::from_secs(60))).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(job.token, complete()).await?;
    let cancelled = kit.insert_one(kit.spec("job").unique("cancelled")).await?;
    kit.cancel(cancelled).await?;
    kit.reopen().await?;
    for (key, holder) in [("unfinished", unfinished), ("kept", kept)] {
        let reply = insert(kit, kit.spec("job").unique(key)).await?;
        ensure_eq!(
            (reply.id, reply.insertion),
            (holder, Insertion::Duplicate),
            "the reply for the key `{key}`"
        );
    }
    ensure!(insert(kit, kit.spec("job").unique("cancelled")).await?.is_new(), "the released key is held");
    Ok(())
}

/// Three jobs with keys are completed in transactions: one that is rolled back, one that is
/// committed, and one whose job keeps its key.
async fn q15_a_job_completed_in_a_transaction_releases_or_keeps_its_key(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for (key, keep, is_committed) in
        [("a", Duration::ZERO, false), ("b", Duration::ZERO, true), ("c", HOUR, true)]
    {
        let spec = || kit.spec("job").unique_for(key, keep);
        let id = kit.insert_one(spec()).await?;
        let job = kit.claim_one(worker).await?;
        let mut transaction = kit.begin().await?;
        transaction.complete(job.token, "done", Vec::new()).await??;
        if is_committed {
            transaction.commit().await?;
        } else {
            transaction.roll_back().await?;
        }
        let answer = kit.try_insert(vec![spec()]).await??[0];
        let is_free = is_committed && keep.is_zero();
        let expected = if is_free { (answer.id, Insertion::New) } else { (id, Insertion::Duplicate) };
        ensure_eq!((answer.id, answer.insertion), expected, "the insert of the key {key}");
        if is_free {
            kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
        }
    }
    Ok(())
}

/// Jobs of each end that released their key are retried by hand. Each must hold the key again until
/// its next end.
async fn q15_a_retried_job_takes_its_key_again(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for verdict in [complete(), bury("no"), cancelled("no")] {
        let id = kit.insert_one(unique(kit)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict.clone()).await?;
        ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to a retry after {verdict:?}");
        is_held_by(kit, id, "after the retry").await?;
        let token = kit.claim_one(worker).await?.token;
        is_held_by(kit, id, "while the retried job runs").await?;
        kit.settle_one(token, verdict.clone()).await?;
        let next = is_free(kit, "after the second end").await?;
        kit.cancel(next).await?;
    }
    ensure_eq!(kit.stored().await?.unique_keys, [], "the keys that are held");
    Ok(())
}

/// Another job holds the key: it waits, it runs, or it was completed and keeps the key. A retry of
/// the earlier job must name it and change nothing. Afterwards the retry must be made.
async fn q15_a_retry_is_refused_while_another_job_holds_the_key(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let earlier = kit.insert_one(unique(kit)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, bury("no")).await?;
    let before = kit.record(earlier).await?;
    let other = kit.insert_one(kit.spec("job").unique_for("a", HOUR)).await?;
    ensure_eq!(kit.retry(earlier).await?, RetryReply::KeyHeld(other), "the reply while the other job waits");
    let token = kit.claim_one(worker).await?.token;
    ensure_eq!(kit.retry(earlier).await?, RetryReply::KeyHeld(other), "the reply while the other job runs");
    kit.settle_one(token, complete()).await?;
    kit.advance(HOUR - TICK);
    ensure_eq!(kit.retry(earlier).await?, RetryReply::KeyHeld(other), "the reply while the key is kept");
    ensure_eq!(kit.record(earlier).await?, before, "the earlier job after the refused retries");
    kit.advance(TICK);
    ensure_eq!(kit.retry(earlier).await?, RetryReply::Retried, "the reply after the key was kept");
    is_held_by(kit, earlier, "after the retry").await?;
    ensure_eq!(
        kit.retry(other).await?,
        RetryReply::KeyHeld(earlier),
        "the reply to a retry of the other job"
    );
    Ok(())
}

/// Four dead jobs of one key are retried in one request, in another order than that of their ids.
/// The first must take the key, and the replies for the others must name it.
async fn q15_of_jobs_of_one_key_the_first_of_a_request_is_retried(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(kit.insert_one(unique(kit)).await?);
        kit.settle_one(kit.claim_one(worker).await?.token, bury("no")).await?;
    }
    jobs.swap(0, 2);
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let replies = manage.retry(RetryRequest::new(jobs.clone()).at(kit.now())).await?;
    let held = RetryReply::KeyHeld(jobs[0]);
    ensure_eq!(replies, [RetryReply::Retried, held, held, held], "the replies");
    is_held_by(kit, jobs[0], "after the retry").await
}

/// A completed job keeps its key and is retried meanwhile. It must hold the key for as long as it
/// is unfinished, and be kept anew from its second end on.
async fn q15_a_retried_job_holds_the_key_that_it_had_kept(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").unique_for("a", HOUR)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
    kit.advance(HOUR - TICK);
    ensure_eq!(kit.retry(id).await?, RetryReply::Retried, "the reply to a retry of the holder itself");
    kit.advance(HOUR);
    kit.prune(Prune::default()).await?;
    is_held_by(kit, id, "when the first time would have passed").await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
    kit.advance(HOUR - TICK);
    is_held_by(kit, id, "one tick before the second time has passed").await?;
    kit.advance(TICK);
    is_free(kit, "when the second time has passed").await?;
    Ok(())
}
