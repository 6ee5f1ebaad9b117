//! Q7: a job is charged at most 1 + `max_retries` attempts, however they end.

use std::time::Duration;

use anyhow::ensure;
use queue_core::{JobState, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, TICK, bury, complete, release, retry, snooze};

cases! {
    Fast q07_a_job_that_kills_each_worker_dies_after_its_attempts,
    Fast q07_a_job_that_fails_each_time_dies_after_its_attempts,
    Fast q07_a_job_that_overruns_each_deadline_dies_after_its_attempts,
    Fast q07_no_retries_means_one_attempt,
    Fast q07_the_greatest_number_of_retries_is_not_the_last_attempt,
    Fast q07_snoozes_cost_nothing,
    Fast q07_releases_cost_nothing,
    Fast q07_a_bury_wastes_the_attempts_that_are_left,
    Fast q07_each_failure_is_recorded_for_its_attempt,
    Fast q07_a_refund_comes_back_to_the_same_last_attempt,
}

/// Each worker is lost while it runs the job. The job must be dead after its last attempt, because
/// the claim charges it.
async fn q07_a_job_that_kills_each_worker_dies_after_its_attempts(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(2)).await?;
    for attempt in 1..=3_u32 {
        let job = kit.claim_one(kit.worker().await?).await?;
        ensure_eq!(
            (job.attempt, job.is_last_attempt()),
            (attempt, attempt == 3),
            "the attempt, and whether it is the last"
        );
        kit.advance(EXPIRY);
        let reply = kit.rescue(10).await?;
        let last = u64::from(attempt == 3);
        ensure_eq!(
            (reply.rescued, reply.died),
            (1 - last, last),
            "the numbers of jobs rescued and dead after attempt {attempt}"
        );
    }
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Dead, 3), "the state and attempt of the job");
    ensure_eq!(record.finished_at, Some(kit.now()), "finished_at");
    ensure!(record.error.is_some(), "the dead job has no error");
    Ok(())
}

/// The job fails on each attempt. After the last one it must be dead at once, without the retry
/// delay.
async fn q07_a_job_that_fails_each_time_dies_after_its_attempts(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(4)).await?;
    for attempt in 1..=5 {
        let job = kit.claim_one(worker).await?;
        ensure_eq!(job.attempt, attempt, "the attempt");
        kit.settle_one(job.token, retry("failed", 10)).await?;
        let expected = if attempt < 5 { JobState::Retrying } else { JobState::Dead };
        ensure_eq!(kit.state(id).await?, expected, "the state after attempt {attempt}");
        kit.advance(Duration::from_secs(10));
    }
    ensure_eq!(kit.claim(worker, 1).await?, [], "a claim after the job died");
    ensure_eq!(kit.record(id).await?.error.as_deref(), Some("failed"), "the error of the dead job");
    Ok(())
}

/// The job exceeds its deadline on each attempt while its worker is alive. It must be dead after
/// its last attempt.
async fn q07_a_job_that_overruns_each_deadline_dies_after_its_attempts(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let timeout = Duration::from_secs(5);
    let id = kit.insert_one(kit.spec("job").max_retries(1).timeout(timeout)).await?;
    for attempt in 1..=2 {
        ensure_eq!(kit.claim_one(worker).await?.attempt, attempt, "the attempt");
        kit.advance(timeout + GRACE);
        kit.heartbeat(worker).await?;
        let reply = kit.rescue(10).await?;
        ensure_eq!(reply.workers_lost, 0, "the number of workers lost");
        ensure_eq!(reply.rescued + reply.died, 1, "the number of leases rescued in attempt {attempt}");
    }
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Dead, 2), "the state and attempt of the job");
    Ok(())
}

/// A job without retries fails, or loses its worker. It must be dead after one attempt.
async fn q07_no_retries_means_one_attempt(kit: &Kit) -> CaseResult {
    let ids = kit.insert(vec![kit.spec("job").max_retries(0), kit.spec("job").max_retries(0)]).await?;
    let failing = kit.claim_one(kit.worker().await?).await?;
    ensure!(failing.is_last_attempt(), "the only attempt is not marked as the last");
    kit.settle_one(failing.token, retry("failed", 1)).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    for id in ids {
        let record = kit.record(id).await?;
        ensure_eq!((record.state, record.attempt), (JobState::Dead, 1), "the state and attempt of job {id}");
    }
    Ok(())
}

/// A job has the most retries. Its first attempt must not count as the last, although 1 + 65,535
/// overflows `u16`.
async fn q07_the_greatest_number_of_retries_is_not_the_last_attempt(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(u16::MAX)).await?;
    let worker = kit.worker().await?;
    let job = kit.claiming(worker, 1).last_attempts(0).take().await?.jobs.pop();
    let Some(job) = job else { anyhow::bail!("the first attempt is treated as the last") };
    kit.settle_one(job.token, retry("failed", 0)).await?;
    let record = kit.record(id).await?;
    ensure!(!record.state.is_finished(), "the job is {} after one attempt", record.state);
    Ok(())
}

/// A job on its last attempt is snoozed repeatedly. No snooze may charge an attempt.
async fn q07_snoozes_cost_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    for turn in 0..12_u64 {
        let job = kit.claim_one(worker).await?;
        ensure_eq!(job.attempt, 1, "the attempt of turn {turn}");
        kit.settle_one(job.token, snooze(turn % 3)).await?;
        ensure_eq!(kit.record(id).await?.attempt, 0, "the attempts charged after the snooze of turn {turn}");
        kit.advance(Duration::from_secs(turn % 3));
    }
    kit.settle_one(kit.claim_one(worker).await?.token, complete()).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Completed, 1), "the state and attempt of the job");
    ensure_eq!(record.errors, [], "the recorded errors");
    Ok(())
}

/// A job on its last attempt is released repeatedly. No release may charge an attempt or move
/// `run_at`.
async fn q07_releases_cost_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let run_at = kit.now();
    let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    for turn in 0..12 {
        kit.advance(TICK * 1000);
        let job = kit.claim_one(worker).await?;
        ensure_eq!((job.attempt, job.run_at), (1, run_at), "the attempt and run_at in turn {turn}");
        kit.settle_one(job.token, release()).await?;
        let record = kit.record(id).await?;
        let seen = (record.state, record.attempt, record.run_at);
        ensure_eq!(
            seen,
            (JobState::Ready, 0, run_at),
            "the state, attempt and run_at after the release of turn {turn}"
        );
    }
    ensure_eq!(kit.record(id).await?.errors, [], "the recorded errors");
    Ok(())
}

/// A job with ten retries is buried on its first attempt. It must be dead at once.
async fn q07_a_bury_wastes_the_attempts_that_are_left(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(10)).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, bury("hopeless")).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Dead, 1), "the state and attempt of the job");
    ensure_eq!(record.error.as_deref(), Some("hopeless"), "the error of the dead job");
    Ok(())
}

/// A job fails, loses its worker and is buried, with a snooze and a release in between. Each failed
/// attempt must have one error with its time, oldest first.
async fn q07_each_failure_is_recorded_for_its_attempt(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(5)).await?;
    let failed_at = kit.advance(TICK);
    kit.settle_one(kit.claim_one(worker).await?.token, retry("timed out", 0)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, snooze(0)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, release()).await?;
    let lost_at = lose(kit, worker).await?;
    let buried_at = kit.advance(TICK);
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, bury("hopeless")).await?;
    let errors = kit.record(id).await?.errors;
    let seen: Vec<_> = errors.iter().map(|error| (error.attempt, error.at)).collect();
    ensure_eq!(
        seen,
        [(1, failed_at), (2, lost_at), (3, buried_at)],
        "the attempt and time of each recorded error"
    );
    ensure_eq!(
        (errors[0].error.as_str(), errors[2].error.as_str()),
        ("timed out", "hopeless"),
        "the texts of the first and the last error"
    );
    ensure!(!errors[1].error.is_empty(), "the error of the lost worker has no text");
    Ok(())
}

async fn lose(kit: &Kit, worker: WorkerId) -> anyhow::Result<queue_core::Timestamp> {
    kit.heartbeat(worker).await?;
    kit.claim_one(worker).await?;
    let lost_at = kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of leases rescued");
    Ok(lost_at)
}

/// A job on its last attempt is released and snoozed. The next claim must have the same last
/// attempt, and a failure must end it.
async fn q07_a_refund_comes_back_to_the_same_last_attempt(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").max_retries(1)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    for verdict in [release(), snooze(0)] {
        let job = kit.claim_one(worker).await?;
        ensure_eq!(
            (job.attempt, job.is_last_attempt()),
            (2, true),
            "the attempt, and whether it is the last"
        );
        kit.settle_one(job.token, verdict).await?;
    }
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Dead, 2), "the state and attempt of the job");
    Ok(())
}
