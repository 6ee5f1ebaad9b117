//! Q14: no job starts before its `run_at`.

use std::time::Duration;

use queue_core::{JobState, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, retry, snooze};
use crate::conformance::wakes::next;

cases! {
    Fast q14_a_job_starts_at_its_very_tick,
    Fast q14_a_failed_job_waits_out_its_delay,
    Fast q14_a_snoozed_job_waits_out_its_delay,
    Fast q14_a_snooze_of_nothing_is_ready_now,
    Fast q14_urgent_jobs_of_the_far_future_hide_nothing,
    Fast q14_a_clock_that_went_back_starts_nothing_early,
    Fast q14_promotion_takes_what_is_due_and_no_more_than_asked,
    Fast q14_a_job_without_a_time_runs_from_its_insert_on,
    Fast q14_a_delay_beyond_the_end_of_time_ends_there,
    Fast q14_a_job_for_later_is_told_with_its_time,
}

/// A job is scheduled. It must not be claimable one tick before `run_at`, and must be claimable at
/// `run_at`.
async fn q14_a_job_starts_at_its_very_tick(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let run_at = kit.now().saturating_add(TICK * 2);
    let id = kit.insert_one(kit.spec("job").run_at(run_at)).await?;
    kit.advance(TICK);
    let early = kit.claiming(worker, 1).take().await?;
    ensure_eq!(early.jobs, [], "a claim one tick before run_at");
    ensure_eq!(early.next_due.unwrap_or(TICK), TICK, "next_due one tick before run_at");
    ensure_eq!(kit.state(id).await?, JobState::Scheduled, "the state one tick before run_at");
    kit.advance(TICK);
    ensure_eq!(kit.claim_one(worker).await?.token.job, id, "the job claimed at run_at");
    Ok(())
}

/// A job fails with a delay. It must not be claimable before the delay has passed since its settle.
async fn q14_a_failed_job_waits_out_its_delay(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    let due = kit.advance(Duration::from_secs(2)).saturating_add(Duration::from_secs(5));
    kit.settle_one(token, retry("failed", 5)).await?;
    let record = kit.record(id).await?;
    ensure_eq!(
        (record.state, record.run_at),
        (JobState::Retrying, due),
        "the state and run_at of the failed job"
    );
    kit.set_clock(due.saturating_sub(TICK));
    ensure_eq!(kit.claim(worker, 1).await?, [], "a claim one tick before run_at");
    kit.set_clock(due);
    let job = kit.claim_one(worker).await?;
    ensure_eq!((job.token.job, job.run_at), (id, due), "the job claimed at run_at");
    Ok(())
}

/// A job is snoozed. It must be scheduled, and not be claimable before the delay has passed.
async fn q14_a_snoozed_job_waits_out_its_delay(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, snooze(5)).await?;
    let due = kit.now().saturating_add(Duration::from_secs(5));
    let record = kit.record(id).await?;
    ensure_eq!(
        (record.state, record.run_at),
        (JobState::Scheduled, due),
        "the state and run_at of the snoozed job"
    );
    kit.set_clock(due.saturating_sub(TICK));
    ensure_eq!(kit.claim(worker, 1).await?, [], "a claim one tick before run_at");
    kit.set_clock(due);
    ensure_eq!(kit.claim_one(worker).await?.token.job, id, "the job claimed at run_at");
    let record = kit.record(id).await?;
    ensure_eq!(
        record.job.run_at.unwrap_or(record.created_at),
        record.created_at,
        "the submitted run_at, which a snooze must not change"
    );
    Ok(())
}

/// A job is snoozed for zero seconds. It must be ready with the time of the snooze, so that jobs
/// waiting longer are claimed before it.
async fn q14_a_snooze_of_nothing_is_ready_now(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    let token = kit.claim_one(worker).await?.token;
    let now = kit.advance(TICK);
    kit.settle_one(token, snooze(0)).await?;
    let record = kit.record(jobs[0]).await?;
    ensure_eq!(
        (record.state, record.run_at),
        (JobState::Ready, now),
        "the state and run_at of the snoozed job"
    );
    ensure_eq!(kit.claim_one(worker).await?.token.job, jobs[1], "the claimed job, which waited longer");
    Ok(())
}

/// Many jobs of the highest priority are due in the future, up to the greatest time. They must not
/// hide a ready job of the lowest priority.
async fn q14_urgent_jobs_of_the_far_future_hide_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let later = |days: u64| kit.now().saturating_add(Duration::from_secs(days * 86_400));
    let mut batch: Vec<_> =
        (1..200).map(|days| kit.spec("job").priority(i16::MAX).run_at(later(days))).collect();
    batch.push(kit.spec("job").priority(i16::MAX).run_at(Timestamp::MAX));
    kit.insert(batch).await?;
    let low = kit.insert_one(kit.spec("job").priority(i16::MIN)).await?;
    let seen: Vec<_> = kit.claim(worker, 10).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(seen, [low], "the jobs claimed now");
    kit.set_clock(Timestamp::MAX.saturating_sub(TICK));
    ensure_eq!(
        kit.claim(worker, 1000).await?.len(),
        199,
        "the number of jobs claimed one tick before the greatest time"
    );
    kit.set_clock(Timestamp::MAX);
    ensure_eq!(kit.claim(worker, 1000).await?.len(), 1, "the number of jobs claimed at the greatest time");
    Ok(())
}

/// A process whose clock is ahead promotes a job. A claim with an earlier clock must not return it.
async fn q14_a_clock_that_went_back_starts_nothing_early(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let start = kit.now();
    let due = start.saturating_add(Duration::from_secs(10));
    let id = kit.insert_one(kit.spec("job").run_at(due)).await?;
    kit.set_clock(due);
    ensure_eq!(kit.promote(10).await?.promoted, 1, "the number of jobs promoted by the clock that is ahead");
    for time in [start, due.saturating_sub(TICK)] {
        kit.set_clock(time);
        ensure_eq!(kit.claim(worker, 1).await?, [], "a claim at {time} of a job due at {due}");
    }
    kit.set_clock(due);
    ensure_eq!(kit.claim_one(worker).await?.token.job, id, "the job claimed at run_at");
    Ok(())
}

/// Scheduled and retrying jobs are due. Each promotion must make at most its limit ready, and none
/// that is not due.
async fn q14_promotion_takes_what_is_due_and_no_more_than_asked(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let failing = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 3)).await?;
    let at = |seconds| kit.now().saturating_add(Duration::from_secs(seconds));
    let times = [at(1), at(2), at(3), at(4)];
    let jobs = kit.insert(times.map(|time| kit.spec("job").run_at(time)).to_vec()).await?;
    kit.set_clock(times[2]);
    let promoted =
        [kit.promote(0).await?, kit.promote(3).await?, kit.promote(3).await?, kit.promote(3).await?];
    ensure_eq!(
        promoted.map(|reply| reply.promoted),
        [0, 3, 1, 0],
        "the numbers of jobs promoted with limits 0, 3, 3 and 3"
    );
    for id in [failing, jobs[0], jobs[1], jobs[2]] {
        ensure_eq!(kit.state(id).await?, JobState::Ready, "the state of job {id}, which is due");
    }
    ensure_eq!(kit.state(jobs[3]).await?, JobState::Scheduled, "the state of the job that is not due");
    Ok(())
}

/// A job is inserted without `run_at`, or with one that is not in the future. It must be ready at
/// once with the expected `run_at`.
async fn q14_a_job_without_a_time_runs_from_its_insert_on(kit: &Kit) -> CaseResult {
    let past = kit.now().saturating_sub(Duration::from_secs(100));
    let specs = vec![
        kit.spec("job"),
        kit.spec("job").run_at(past),
        kit.spec("job").run_at(Timestamp::UNIX_EPOCH),
        kit.spec("job").run_at(kit.now()),
    ];
    let expected = [kit.now(), past, Timestamp::UNIX_EPOCH, kit.now()];
    for (id, expected) in kit.insert(specs).await?.into_iter().zip(expected) {
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.run_at),
            (JobState::Ready, expected),
            "the state and run_at of job {id}"
        );
        ensure_eq!(record.created_at, kit.now(), "created_at");
    }
    Ok(())
}

/// A retry or snooze delay exceeds the greatest time. `run_at` must be the greatest time, and must
/// not wrap round.
async fn q14_a_delay_beyond_the_end_of_time_ends_there(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for (verdict, state) in
        [(retry("failed", u64::MAX), JobState::Retrying), (snooze(u64::MAX), JobState::Scheduled)]
    {
        let id = kit.insert_one(kit.spec("job").timeout(Duration::MAX)).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
        let record = kit.record(id).await?;
        ensure_eq!((record.state, record.run_at), (state, Timestamp::MAX), "the state and run_at of the job");
    }
    Ok(())
}

/// A scheduled job is inserted. The wake-up must give its delay, so that an idle worker wakes in
/// time.
async fn q14_a_job_for_later_is_told_with_its_time(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let delay = Duration::from_secs(3);
    kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(delay))).await?;
    let wakes = next(&mut receiver, "the insert of a scheduled job").await?;
    let is_announced = wakes.unknown || wakes.due_in == Some(delay);
    anyhow::ensure!(is_announced, "no wake-up gives the delay {delay:?} of the scheduled job: {wakes:?}");
    anyhow::ensure!(wakes.ready.is_empty(), "a scheduled job is announced as ready: {wakes:?}");
    Ok(())
}
