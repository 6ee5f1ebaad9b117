//! Q13: a worker's later claims also return the first jobs in claim order. This holds for jobs that
//! became ready after the worker's last claim.

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{WakeReceiver, Wakes};
use queue_core::{JobId, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, release, retry, snooze};
use crate::conformance::wakes::{announced, next};

cases! {
    Fast q13_claims_in_turn_follow_the_order_of_one_large,
    Fast q13_a_claim_begins_behind_the_jobs_of_the_last,
    Fast q13_a_released_job_is_claimed_before_later_ones,
    Fast q13_a_retried_job_is_claimed_before_later_ones,
    Fast q13_a_promoted_job_is_claimed_before_later_ones,
    Fast q13_a_rescued_job_is_claimed_before_later_ones,
    Fast q13_a_back_dated_job_is_claimed_before_later_ones,
    Fast q13_a_priority_that_was_empty_is_seen_from_its_first_job,
    Fast q13_an_earlier_job_of_another_handle_is_claimed [MultiProcess],
    Fast q13_a_wake_names_the_least_time_of_its_level,
    Fast q13_every_job_that_becomes_ready_is_told,
}

const SECOND: Duration = Duration::from_secs(1);

/// The case waits this long for a job of another handle while later jobs keep arriving. It is
/// longer than any delay that a backend may state.
const PATIENCE: Duration = Duration::from_secs(30);

async fn claimed(kit: &Kit, worker: WorkerId, limit: u32) -> anyhow::Result<Vec<JobId>> {
    Ok(kit.claim(worker, limit).await?.iter().map(|job| job.token.job).collect())
}

/// Inserts six ready jobs and claims the first three with a full claim. Returns the claimed and the
/// remaining ids.
async fn half_claimed(kit: &Kit, worker: WorkerId) -> anyhow::Result<(Vec<JobId>, Vec<JobId>)> {
    let mut jobs = kit.insert((0..6).map(|_| kit.spec("job").max_retries(9)).collect()).await?;
    let later = jobs.split_off(3);
    ensure_eq!(claimed(kit, worker, 3).await?, jobs, "the first claim");
    Ok((jobs, later))
}

/// A worker claims in turn while jobs of three priorities are inserted between the claims. Each
/// claim must return the first two jobs in claim order.
async fn q13_claims_in_turn_follow_the_order_of_one_large(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut waiting: Vec<(Reverse<i16>, JobId)> = Vec::new();
    for turn in 0..12 {
        kit.advance(TICK);
        if turn < 6 {
            let priorities = [2, 0, 1];
            let batch = priorities.map(|priority| kit.spec("job").priority(priority)).to_vec();
            waiting.extend(priorities.map(Reverse).into_iter().zip(kit.insert(batch).await?));
            // Later inserts have greater ids and times.
            waiting.sort();
        }
        let next: Vec<JobId> = waiting.drain(..waiting.len().min(2)).map(|(_, job)| job).collect();
        ensure_eq!(claimed(kit, worker, 2).await?, next, "the jobs of claim {turn}");
    }
    ensure!(waiting.is_empty(), "{} jobs were never claimed", waiting.len());
    Ok(())
}

/// All jobs have the same priority and time, so only their ids order them. The second claim must
/// start after the jobs of the first.
async fn q13_a_claim_begins_behind_the_jobs_of_the_last(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let (_, later) = half_claimed(kit, worker).await?;
    ensure_eq!(claimed(kit, worker, 2).await?, later[..2], "the second claim");
    ensure_eq!(claimed(kit, worker, 2).await?, later[2..], "the third claim");
    Ok(())
}

/// A worker releases its second job. Its next claim must return this job before later ones.
async fn q13_a_released_job_is_claimed_before_later_ones(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let held = {
        kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
        kit.claim(worker, 2).await?
    };
    kit.settle_one(held[1].token, release()).await?;
    ensure_eq!(claimed(kit, worker, 1).await?, [held[1].token.job], "the claim after the release");
    Ok(())
}

/// A job is retried without delay, so its `run_at` is the time of the failure. The next claim must
/// return it before jobs inserted later.
async fn q13_a_retried_job_is_claimed_before_later_ones(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let failing = kit.insert_one(kit.spec("job").max_retries(9)).await?;
    let held = kit.claim_one(worker).await?;
    let failed_at = kit.advance(TICK);
    kit.advance(SECOND);
    kit.insert((0..2).map(|_| kit.spec("job")).collect()).await?;
    kit.claim_one(worker).await?;
    kit.set_clock(failed_at);
    kit.settle_one(held.token, retry("failed", 0)).await?;
    kit.advance(SECOND * 2);
    ensure_eq!(claimed(kit, worker, 1).await?, [failing], "the claim after the retry");
    Ok(())
}

/// A scheduled job becomes due, and ready jobs with a later `run_at` are inserted. The next claim
/// must promote the scheduled job and return it first.
async fn q13_a_promoted_job_is_claimed_before_later_ones(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let waiting = kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(SECOND))).await?;
    let beyond = kit.now().saturating_add(SECOND * 2);
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(worker).await?;
    kit.set_clock(beyond);
    let other = kit.spec("job").queue("other");
    kit.insert_one(other).await?;
    let later = kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    ensure_eq!(claimed(kit, worker, 2).await?, [waiting, later[0]], "the claim that promotes");
    Ok(())
}

/// A job is rescued from a lost worker. The next claim of another worker must return it before
/// later jobs.
async fn q13_a_rescued_job_is_claimed_before_later_ones(kit: &Kit) -> CaseResult {
    let (worker, lost) = (kit.worker().await?, kit.worker().await?);
    let first = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(lost).await?;
    kit.advance(EXPIRY);
    kit.heartbeat(worker).await?;
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    kit.claim_one(worker).await?;
    kit.rescue(10).await?;
    ensure_eq!(claimed(kit, worker, 1).await?, [first], "the claim after the rescue");
    Ok(())
}

/// A job is inserted with a `run_at` in the past, by a second or at the epoch. The next claim must
/// return it first.
async fn q13_a_back_dated_job_is_claimed_before_later_ones(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    half_claimed(kit, worker).await?;
    for run_at in [kit.now().saturating_sub(SECOND), queue_core::Timestamp::UNIX_EPOCH] {
        let early = kit.insert_one(kit.spec("job").run_at(run_at)).await?;
        ensure_eq!(
            claimed(kit, worker, 1).await?,
            [early],
            "the claim after the insert of a job with run_at {run_at}"
        );
    }
    Ok(())
}

/// Jobs of two new priorities, one higher and one lower, are inserted after a claim. The next claim
/// must return all jobs in claim order.
async fn q13_a_priority_that_was_empty_is_seen_from_its_first_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let (_, later) = half_claimed(kit, worker).await?;
    let long_ago = kit.now().saturating_sub(SECOND * 1000);
    let urgent = kit.insert_one(kit.spec("job").priority(9).run_at(long_ago)).await?;
    let idle = kit.insert_one(kit.spec("job").priority(-9).run_at(long_ago)).await?;
    let expected = [vec![urgent], later, vec![idle]].concat();
    ensure_eq!(
        claimed(kit, worker, 10).await?,
        expected,
        "the jobs of the new high priority, the old priority and the new low priority"
    );
    Ok(())
}

/// Another handle inserts an earlier job while this handle keeps inserting later ones. A claim must
/// return the earlier job within the time limit.
async fn q13_an_earlier_job_of_another_handle_is_claimed(kit: &Kit) -> CaseResult {
    let (worker, other) = (kit.worker().await?, kit.open_second().await?);
    half_claimed(kit, worker).await?;
    let early = other.insert_one(kit.spec("job").run_at(kit.now().saturating_sub(SECOND))).await?;
    let started = std::time::Instant::now();
    loop {
        let seen = claimed(kit, worker, 1).await?;
        if seen == [early] {
            return Ok(());
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "the earlier job of the other handle was not claimed for {PATIENCE:?}"
        );
        kit.advance(TICK);
        kit.insert_one(kit.spec("job")).await?;
    }
}

/// Batches are inserted while no receiver waits. The wake-up must name the least `run_at` of each
/// priority, or be `unknown`.
async fn q13_a_wake_names_the_least_time_of_its_level(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let at = |seconds| kit.now().saturating_sub(SECOND * seconds);
    for batch in [[5, 9, 7], [3, 4, 2]] {
        kit.insert(batch.map(|seconds| kit.spec("job").priority(4).run_at(at(seconds))).to_vec()).await?;
    }
    let mut least = None;
    while least.is_none_or(|least| least > at(9)) {
        let wakes = next(&mut receiver, "the inserts").await?;
        if wakes.unknown {
            return Ok(());
        }
        least = wakes.ready.iter().filter(|hint| hint.priority == 4).map(|hint| hint.run_at).min();
    }
    ensure_eq!(least, Some(at(9)), "the least run_at in the wake-up");
    Ok(())
}

/// A job becomes ready by insert, release, snooze, retry or rescue. The wake-up must name its
/// priority with a `run_at` that is not later, or be `unknown`.
async fn q13_every_job_that_becomes_ready_is_told(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut receiver = kit.backend()?.subscribe();
    let run_at = kit.now();
    kit.insert_one(kit.spec("job").priority(4)).await?;
    is_announced(&mut receiver, run_at, "insert").await?;
    for (what, verdict) in [("release", release()), ("snooze", snooze(0)), ("retry", retry("failed", 0))] {
        let token = kit.claim_one(worker).await?.token;
        receiver.take();
        kit.settle_one(token, verdict).await?;
        is_announced(&mut receiver, run_at, what).await?;
    }
    kit.claim_one(worker).await?;
    receiver.take();
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    is_announced(&mut receiver, run_at, "rescue").await
}

async fn is_announced(receiver: &mut WakeReceiver, run_at: queue_core::Timestamp, what: &str) -> CaseResult {
    let is_it = |wakes: &Wakes| wakes.ready.iter().any(|hint| hint.priority == 4 && hint.run_at <= run_at);
    let wakes = announced(receiver, is_it).await;
    wakes.map(drop).with_context(|| format!("after the {what}, no wake-up covers the ready job"))
}
