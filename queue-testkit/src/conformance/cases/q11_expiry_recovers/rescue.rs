//! Q11: the state of a job after a rescue.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{
    AttemptError, DEADLINE_PASSED_ERROR, MaintainRequest, Settled, WORKER_LOST_ERROR, Wakes,
};
use queue_core::{JobId, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, complete, retry};
use crate::conformance::wakes::announced;

cases! {
    Fast q11_a_rescued_job_keeps_its_place_and_its_charge,
    Fast q11_the_loss_is_recorded_as_the_error_of_the_attempt,
    Fast q11_the_loss_is_recorded_with_the_worker_of_the_lease,
    Fast q11_the_loss_says_whether_the_worker_or_the_time_was_lost,
    Fast q11_a_job_that_has_used_its_attempts_dies_by_the_rescue,
    Fast q11_a_rescue_takes_no_more_than_its_limit,
    Fast q11_a_rescue_of_nothing_gives_nobody_up,
    Fast q11_what_did_not_fit_the_limit_may_still_be_settled,
    Fast q11_a_rescue_tells_what_became_ready,
    Fast q11_a_rescued_job_has_no_progress,
}

/// Jobs of two priorities are rescued. Each must keep its `run_at`, priority and charged attempt,
/// and so precede later jobs of its priority.
async fn q11_a_rescued_job_keeps_its_place_and_its_charge(kit: &Kit) -> CaseResult {
    let inserted_at = kit.now();
    let lost = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(-1)]).await?;
    kit.claim(kit.worker().await?, 2).await?;
    kit.advance(EXPIRY);
    let later = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(-1)]).await?;
    kit.rescue(10).await?;
    for id in &lost {
        let record = kit.record(*id).await?;
        let seen = (record.state, record.run_at, record.attempt);
        ensure_eq!(seen, (JobState::Ready, inserted_at, 1), "the state, run_at and attempt of job {id}");
    }
    let order: Vec<JobId> =
        kit.claim(kit.worker().await?, 9).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(order, [lost[0], later[0], lost[1], later[1]], "the jobs of the next claim");
    Ok(())
}

/// A job fails once and then loses its worker. The loss must be recorded after the first error,
/// with its attempt and the time of the rescue.
async fn q11_the_loss_is_recorded_as_the_error_of_the_attempt(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let failed_at = kit.now();
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    kit.claim_one(worker).await?;
    let lost_at = kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let record = kit.record(id).await?;
    ensure_eq!(record.error, None, "the final error of an unfinished job");
    let errors = record.errors;
    ensure_eq!(errors.len(), 2, "the number of errors in {errors:?}");
    let first = AttemptError::new(1, failed_at, "failed".to_owned()).worker(Some(worker));
    ensure_eq!(errors[0], first, "the error of the first attempt");
    ensure_eq!((errors[1].attempt, errors[1].at), (2, lost_at), "the attempt and time of the loss");
    ensure!(!errors[1].error.is_empty(), "the error of the loss has no text");
    Ok(())
}

/// Leases are rescued by expiry and by deadline, of jobs with and without attempts left. The error
/// of each attempt must name the worker that had the lease, and no duration. The second worker of a
/// job must not replace the first.
async fn q11_the_loss_is_recorded_with_the_worker_of_the_lease(kit: &Kit) -> CaseResult {
    let overdue = kit.worker_expiring_after(EXPIRY * 100).await?;
    let lost = kit.worker_expiring_after(GRACE + EXPIRY).await?;
    let mut expected = Vec::new();
    for (worker, timeout) in [(overdue, EXPIRY), (lost, EXPIRY * 50)] {
        for max_retries in [0, 1] {
            let id = kit.insert_one(kit.spec("job").max_retries(max_retries).timeout(timeout)).await?;
            ensure_eq!(kit.claim_one(worker).await?.token.job, id, "the claimed job");
            expected.push((id, worker));
        }
    }
    kit.advance(GRACE + EXPIRY);
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.died), (2, 2), "the numbers of jobs rescued and jobs dead");
    let next = kit.worker().await?;
    kit.claim(next, 10).await?;
    for (id, worker) in expected {
        let errors = kit.record(id).await?.errors;
        let seen: Vec<_> = errors.iter().map(|error| (error.attempt, error.worker, error.duration)).collect();
        ensure_eq!(seen, [(1, Some(worker), None)], "the attempt, worker and duration of job {id}");
    }
    Ok(())
}

/// One lease is rescued because its worker is dead, and one because its deadline has passed. The
/// errors must say which.
async fn q11_the_loss_says_whether_the_worker_or_the_time_was_lost(kit: &Kit) -> CaseResult {
    let live = kit.worker_expiring_after(EXPIRY * 100).await?;
    let overdue = kit.insert_one(kit.spec("job").timeout(Duration::ZERO)).await?;
    kit.claim_one(live).await?;
    let left = kit.insert_one(kit.spec("job").timeout(EXPIRY * 100)).await?;
    kit.claim_one(kit.worker().await?).await?;
    kit.advance(GRACE.max(EXPIRY));
    ensure_eq!(kit.rescue(10).await?.rescued, 2, "the number of jobs rescued");
    for (id, expected) in [(overdue, DEADLINE_PASSED_ERROR), (left, WORKER_LOST_ERROR)] {
        let errors = kit.record(id).await?.errors;
        let texts: Vec<&str> = errors.iter().map(|error| error.error.as_str()).collect();
        ensure_eq!(texts, [expected], "the errors of job {id}");
    }
    Ok(())
}

/// Jobs on their last attempt are rescued by expiry and by deadline. Each must be dead with an
/// error.
async fn q11_a_job_that_has_used_its_attempts_dies_by_the_rescue(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job").max_retries(0).timeout(Duration::from_secs(1));
    let by_deadline = kit.insert_one(spec).await?;
    let long_lived = kit.worker_expiring_after(EXPIRY * 100).await?;
    kit.claim_one(long_lived).await?;
    kit.advance(GRACE + Duration::from_secs(1) - EXPIRY);
    let by_death = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    kit.claim_one(kit.worker().await?).await?;
    let died_at = kit.advance(EXPIRY);
    let reply = kit.rescue(10).await?;
    ensure_eq!(
        (reply.rescued, reply.died, reply.workers_lost),
        (0, 2, 1),
        "the numbers of jobs rescued, jobs dead and workers lost"
    );
    for id in [by_deadline, by_death] {
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.finished_at),
            (JobState::Dead, Some(died_at)),
            "the state and finished_at of job {id}"
        );
        ensure_eq!(
            (record.attempt, record.errors.len()),
            (1, 1),
            "the attempt and number of errors of job {id}"
        );
        ensure!(record.error.is_some_and(|error| !error.is_empty()), "the dead job {id} has no error");
    }
    ensure!(
        kit.stored().await?.outcomes.iter().all(|row| row.claim.is_none()),
        "the outcome of a rescued job names the lost claim"
    );
    Ok(())
}

/// Leases of lost workers and overdue leases exceed the limit. Each rescue must take at most its
/// limit, and repeated rescues must take all.
async fn q11_a_rescue_takes_no_more_than_its_limit(kit: &Kit) -> CaseResult {
    let long_lived = kit.worker_expiring_after(EXPIRY * 100).await?;
    kit.insert((0..8).map(|_| kit.spec("job").timeout(EXPIRY * 100)).collect()).await?;
    kit.insert((0..4).map(|_| kit.spec("job").timeout(Duration::ZERO)).collect()).await?;
    for _ in 0..2 {
        kit.claim(kit.worker().await?, 4).await?;
    }
    kit.claim(long_lived, 4).await?;
    kit.advance(GRACE);
    let mut taken = Vec::new();
    let mut workers_lost = 0;
    for _ in 0..5 {
        let reply = kit.rescue(3).await?;
        taken.push(reply.rescued);
        workers_lost += reply.workers_lost;
    }
    ensure_eq!(taken, [3, 3, 3, 3, 0], "the numbers of leases rescued with limit 3");
    ensure_eq!(workers_lost, 2, "the number of workers lost");
    ensure_eq!(kit.claim(long_lived, 20).await?.len(), 12, "the number of jobs that can be claimed again");
    Ok(())
}

/// A rescue has limit zero, and a promotion has no rescue part. Neither may mark an expired worker
/// as lost.
async fn q11_a_rescue_of_nothing_gives_nobody_up(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY * 100);
    let reply = kit.maintain(MaintainRequest::rescue(0)).await?;
    ensure_eq!(
        (reply.rescued, reply.died, reply.workers_lost),
        (0, 0, 0),
        "the numbers of jobs rescued, jobs dead and workers lost"
    );
    kit.maintain(MaintainRequest::promote(10)).await?;
    ensure!(!kit.is_lost(worker).await?, "the worker is lost");
    ensure_eq!(kit.settle_one(token, complete()).await?, Settled::Done, "the reply to a settle of its lease");
    Ok(())
}

/// A lost worker has more leases than the limit of the rescue. The leases that were not rescued
/// must still settle.
async fn q11_what_did_not_fit_the_limit_may_still_be_settled(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..6).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 6).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(2).await?.rescued, 2, "the number of leases rescued");
    ensure!(kit.is_lost(worker).await?, "the worker is still alive");
    let settled = kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    let done = settled.iter().filter(|settled| **settled == Settled::Done).count();
    ensure_eq!(done, 4, "the number of leases that could be settled");
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of leases in the second rescue");
    ensure_eq!(
        kit.claim(kit.worker().await?, 9).await?.len(),
        2,
        "the number of jobs that can be claimed again"
    );
    Ok(())
}

/// A rescue makes jobs of several queues and priorities ready. The reply and a wake-up must name
/// each of them.
async fn q11_a_rescue_tells_what_became_ready(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let inserted_at = kit.now();
    let levels = [("default", 3), ("default", 0), ("side", 0)];
    for (queue, priority) in levels {
        kit.insert_one(kit.spec("job").queue(queue).priority(priority)).await?;
        kit.claiming(worker, 1).queue(queue).take().await?;
    }
    kit.advance(EXPIRY);
    let mut wakes = kit.backend()?.subscribe();
    let mut hints: Vec<_> = kit
        .rescue(10)
        .await?
        .ready
        .into_iter()
        .map(|hint| (hint.queue.to_string(), hint.priority, hint.run_at, hint.due_in))
        .collect();
    hints.sort();
    let mut expected: Vec<_> = levels
        .into_iter()
        .map(|(queue, priority)| (queue.to_owned(), priority, inserted_at, Duration::ZERO))
        .collect();
    expected.sort();
    ensure_eq!(hints, expected, "the hints in the reply");
    let is_announced = |all: &Wakes, (queue, priority)| {
        all.ready.iter().any(|hint| (hint.queue.as_str(), hint.priority) == (queue, priority))
    };
    announced(&mut wakes, |all| levels.into_iter().all(|level| is_announced(all, level))).await?;

    Ok(())
}

/// A job with progress is rescued. Neither the waiting job nor its next attempt may have the old
/// progress.
async fn q11_a_rescued_job_has_no_progress(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.report_progress(worker, token, 80).await?;
    ensure_eq!(
        kit.record(id).await?.progress.map(|progress| progress.done),
        Some(80),
        "the progress of the running job"
    );
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    ensure_eq!(kit.record(id).await?.progress, None, "the progress of the waiting job");
    kit.claim_one(kit.worker().await?).await?;
    ensure_eq!(kit.record(id).await?.progress, None, "the progress of the next attempt");
    Ok(())
}
