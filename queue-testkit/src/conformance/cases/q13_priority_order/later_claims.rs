//! Q13: a later claim of a worker returns the first jobs, too, whatever became ready since its last
//! claim, and before which jobs.

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::Wakes;
use queue_core::{JobId, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, release, retry, snooze};

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

/// How long the case waits for a job of another handle while later ones keep coming: longer than any
/// delay that a backend may state.
const PATIENCE: Duration = Duration::from_secs(30);

async fn claimed(kit: &Kit, worker: WorkerId, limit: u32) -> anyhow::Result<Vec<JobId>> {
    Ok(kit.claim(worker, limit).await?.iter().map(|job| job.token.job).collect())
}

/// Ready jobs, of which the first half was claimed: full claims, which end before what is left.
async fn half_claimed(kit: &Kit, worker: WorkerId) -> anyhow::Result<(Vec<JobId>, Vec<JobId>)> {
    let mut jobs = kit.insert((0..6).map(|_| kit.spec("job").max_retries(9)).collect()).await?;
    let later = jobs.split_off(3);
    ensure_eq!(claimed(kit, worker, 3).await?, jobs, "the first claim");
    Ok((jobs, later))
}

/// Over three levels, with jobs that arrive in between at the end of each.
async fn q13_claims_in_turn_follow_the_order_of_one_large(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut waiting: Vec<(Reverse<i16>, JobId)> = Vec::new();
    for turn in 0..12 {
        kit.advance(TICK);
        if turn < 6 {
            let priorities = [2, 0, 1];
            let batch = priorities.map(|priority| kit.spec("job").priority(priority)).to_vec();
            waiting.extend(priorities.map(Reverse).into_iter().zip(kit.insert(batch).await?));
            // Ids and times grow with each other.
            waiting.sort();
        }
        let next: Vec<JobId> = waiting.drain(..waiting.len().min(2)).map(|(_, job)| job).collect();
        ensure_eq!(claimed(kit, worker, 2).await?, next, "the jobs of claim {turn}");
    }
    ensure!(waiting.is_empty(), "{} jobs were never claimed", waiting.len());
    Ok(())
}

/// All of the same time, so that only their ids tell them apart.
async fn q13_a_claim_begins_behind_the_jobs_of_the_last(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let (_, later) = half_claimed(kit, worker).await?;
    ensure_eq!(claimed(kit, worker, 2).await?, later[..2], "the second claim");
    ensure_eq!(claimed(kit, worker, 2).await?, later[2..], "the third claim");
    Ok(())
}

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

/// Retried at once, it stands at the time of its failure: before jobs that came later.
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
    ensure_eq!(claimed(kit, worker, 1).await?, [failing], "the claim after the failure");
    Ok(())
}

/// By the claim itself: its time came before that of jobs that were claimed already.
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

/// By nothing, by a second, and by all time there is.
async fn q13_a_back_dated_job_is_claimed_before_later_ones(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    half_claimed(kit, worker).await?;
    for run_at in [kit.now().saturating_sub(SECOND), queue_core::Timestamp::UNIX_EPOCH] {
        let early = kit.insert_one(kit.spec("job").run_at(run_at)).await?;
        ensure_eq!(claimed(kit, worker, 1).await?, [early], "the claim after a job of {run_at}");
    }
    Ok(())
}

/// An urgent job arrives, of a priority that was empty before, and one of the least priority.
async fn q13_a_priority_that_was_empty_is_seen_from_its_first_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let (_, later) = half_claimed(kit, worker).await?;
    let long_ago = kit.now().saturating_sub(SECOND * 1000);
    let urgent = kit.insert_one(kit.spec("job").priority(9).run_at(long_ago)).await?;
    let idle = kit.insert_one(kit.spec("job").priority(-9).run_at(long_ago)).await?;
    let expected = [vec![urgent], later, vec![idle]].concat();
    ensure_eq!(claimed(kit, worker, 10).await?, expected, "urgent, the rest of the level, idle");
    Ok(())
}

/// While later jobs of this handle keep coming, and each claim is full.
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
        ensure!(started.elapsed() < PATIENCE, "the earlier job is passed over for {PATIENCE:?}");
        kit.advance(TICK);
        kit.insert_one(kit.spec("job")).await?;
    }
}

/// Of a batch, and of several operations that nobody listened to.
async fn q13_a_wake_names_the_least_time_of_its_level(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let at = |seconds| kit.now().saturating_sub(SECOND * seconds);
    for batch in [[5, 9, 7], [3, 4, 2]] {
        kit.insert(batch.map(|seconds| kit.spec("job").priority(4).run_at(at(seconds))).to_vec()).await?;
    }
    let mut least = None;
    while least.is_none_or(|least| least > at(9)) {
        let wakes = tokio::time::timeout(SECOND * 30, receiver.recv()).await?;
        if wakes.unknown {
            return Ok(());
        }
        least = wakes.ready.iter().filter(|hint| hint.priority == 4).map(|hint| hint.run_at).min();
    }
    ensure_eq!(least, Some(at(9)), "the least time that is told");
    Ok(())
}

/// By its level and a time that is not after its own, or by "something changed".
async fn q13_every_job_that_becomes_ready_is_told(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut receiver = kit.backend()?.subscribe();
    let run_at = kit.now();
    kit.insert_one(kit.spec("job").priority(4)).await?;
    told(&receiver.recv().await, run_at, "insert")?;
    for (what, verdict) in [("release", release()), ("snooze", snooze(0)), ("retry", retry("failed", 0))] {
        let token = kit.claim_one(worker).await?.token;
        receiver.take();
        kit.settle_one(token, verdict).await?;
        told(&receiver.recv().await, run_at, what)?;
    }
    kit.claim_one(worker).await?;
    receiver.take();
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    told(&receiver.recv().await, run_at, "rescue")
}

fn told(wakes: &Wakes, run_at: queue_core::Timestamp, what: &str) -> CaseResult {
    let is_told = wakes.ready.iter().any(|hint| hint.priority == 4 && hint.run_at <= run_at);
    ensure!(wakes.unknown || is_told, "the {what} is not told so that a cursor would find it: {wakes:?}");
    Ok(())
}
