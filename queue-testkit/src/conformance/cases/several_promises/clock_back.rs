//! The clock of the storage may go back: that of another machine, or one that was set. Each time is
//! that of its own request, and a delay counts from there.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::{JobState, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, complete, release, retry, snooze};
use crate::conformance::spec::Spec;

cases! {
    Fast q20_each_time_is_that_of_its_request_after_the_clock_went_back,
    Fast q14_a_delay_counts_from_a_clock_that_went_back,
    Fast q14_a_release_by_a_clock_that_went_back_makes_ready,
    Fast q08_a_retry_by_hand_has_the_time_of_a_clock_that_went_back [Manage],
    Fast q15_a_key_is_kept_from_the_time_of_a_clock_that_went_back [UniqueKeys],
}

const SECOND: Duration = Duration::from_secs(1);

/// A job that was due long before.
fn old_job(kit: &Kit) -> Spec {
    kit.spec("job").run_at(kit.now().saturating_sub(SECOND * 1000))
}

/// Sets the clock back by less than a worker's expiry.
fn go_back(kit: &Kit) -> Timestamp {
    let earlier = kit.now().saturating_sub(EXPIRY / 3);
    kit.set_clock(earlier);
    earlier
}

/// The clock goes back before a second insert, before a second failure, and before the end of both
/// jobs. Each stored time must be that of its own request.
async fn q20_each_time_is_that_of_its_request_after_the_clock_went_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let first = kit.insert_one(old_job(kit)).await?;
    let failed_at = kit.now();
    kit.settle_one(kit.claim_one(worker).await?.token, retry("first", 0)).await?;
    let token = kit.claim_one(worker).await?.token;
    let again_at = go_back(kit);
    let second = kit.insert_one(old_job(kit)).await?;
    ensure_eq!(kit.record(second).await?.created_at, again_at, "created_at of the later insert");
    kit.settle_one(token, retry("second", 0)).await?;
    let times: Vec<_> = kit.record(first).await?.errors.iter().map(|error| error.at).collect();
    ensure_eq!(times, [failed_at, again_at], "the times of the errors");
    let jobs = kit.claim(worker, 2).await?;
    let ended_at = go_back(kit);
    for job in &jobs {
        kit.settle_one(job.token, complete()).await?;
        let finished_at = kit.record(job.token.job).await?.finished_at;
        ensure_eq!(finished_at, Some(ended_at), "finished_at, which is before created_at");
    }
    ensure_eq!(jobs.len(), 2, "the number of jobs that were claimed");
    Ok(())
}

/// A retry and a snooze are settled by an earlier clock than their claims. Both delays must count
/// from the settle.
async fn q14_a_delay_counts_from_a_clock_that_went_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for verdict in [retry("failed", 3), snooze(3)] {
        let job = kit.insert_one(kit.spec("job").run_at(kit.now().saturating_sub(SECOND))).await?;
        let token = kit.claim_one(worker).await?.token;
        let due_at = go_back(kit).saturating_add(SECOND * 3);
        kit.settle_one(token, verdict.clone()).await?;
        ensure_eq!(kit.record(job).await?.run_at, due_at, "run_at after {verdict:?}");
        kit.set_clock(due_at.saturating_sub(TICK));
        ensure_eq!(kit.claim(worker, 1).await?, [], "a claim one tick before the time of {verdict:?}");
        kit.set_clock(due_at);
        let token = kit.claim_one(worker).await?.token;
        ensure_eq!(token.job, job, "the job of the claim after {verdict:?}");
        kit.settle_one(token, complete()).await?;
    }
    Ok(())
}

/// A job is released by a clock that is before its time. It must be ready, with its time as it was.
async fn q14_a_release_by_a_clock_that_went_back_makes_ready(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job")).await?;
    let run_at = kit.now();
    let token = kit.claim_one(kit.worker().await?).await?.token;
    go_back(kit);
    kit.settle_one(token, release()).await?;
    let record = kit.record(job).await?;
    ensure_eq!((record.state, record.run_at), (JobState::Ready, run_at), "the state and run_at");
    Ok(())
}

/// A job is retried by hand by an earlier clock than that of its end. It must be due from then on.
async fn q08_a_retry_by_hand_has_the_time_of_a_clock_that_went_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let job = kit.insert_one(old_job(kit)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
    let retried_at = go_back(kit);
    kit.retry(job).await?;
    let record = kit.record(job).await?;
    ensure_eq!((record.state, record.run_at), (JobState::Ready, retried_at), "the state and run_at");
    ensure_eq!(kit.claim_one(worker).await?.token.job, job, "the job of the next claim");
    Ok(())
}

/// A job with a kept key completes by an earlier clock than that of its insert. The key must be
/// kept from its end.
async fn q15_a_key_is_kept_from_the_time_of_a_clock_that_went_back(kit: &Kit) -> CaseResult {
    let keyed = |kit: &Kit| old_job(kit).unique_for("key", SECOND * 9);
    let worker = kit.worker().await?;
    let holder = kit.insert_one(keyed(kit)).await?;
    let token = kit.claim_one(worker).await?.token;
    let free_at = go_back(kit).saturating_add(SECOND * 9);
    kit.settle_one(token, complete()).await?;
    kit.set_clock(free_at.saturating_sub(TICK));
    let reply = kit.try_insert(vec![keyed(kit)]).await??;
    let reply = reply.first().context("the reply to one job is empty")?;
    ensure!(!reply.is_new() && reply.id == holder, "one tick before the key is free: {reply:?}");
    kit.set_clock(free_at);
    let reply = kit.try_insert(vec![keyed(kit)]).await??;
    ensure!(reply.iter().all(|job| job.is_new()), "when the key is free: {reply:?}");
    Ok(())
}
