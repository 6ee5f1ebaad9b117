//! Q11: what a rescue makes of the jobs that it takes.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{AttemptError, MaintainRequest, Settled, Wakes};
use queue_core::{JobId, State};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, complete, retry};
use crate::conformance::wakes::announced;

cases! {
    Fast q11_a_rescued_job_keeps_its_place_and_its_charge,
    Fast q11_the_loss_is_recorded_as_the_error_of_the_attempt,
    Fast q11_a_job_that_has_used_its_attempts_dies_by_the_rescue,
    Fast q11_a_rescue_takes_no_more_than_its_limit,
    Fast q11_a_rescue_of_nothing_gives_nobody_up,
    Fast q11_what_did_not_fit_the_limit_may_still_be_settled,
    Fast q11_a_rescue_tells_what_became_ready,
    Fast q11_a_rescued_job_has_no_progress,
}

/// Its time is unchanged, so it goes before what came meanwhile; its priority counts as before.
async fn q11_a_rescued_job_keeps_its_place_and_its_charge(kit: &Kit) -> CaseResult {
    let entered_at = kit.now();
    let lost = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(-1)]).await?;
    kit.claim(kit.worker().await?, 2).await?;
    kit.advance(EXPIRY);
    let later = kit.insert(vec![kit.spec("job"), kit.spec("job").priority(-1)]).await?;
    kit.rescue(10).await?;
    for id in &lost {
        let record = kit.record(*id).await?;
        let seen = (record.state, record.run_at, record.attempt);
        ensure_eq!(seen, (State::Ready, entered_at, 1), "state, time and attempt of job {id}");
    }
    let order: Vec<JobId> =
        kit.claim(kit.worker().await?, 9).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(order, [lost[0], later[0], lost[1], later[1]], "the order of the next claim");
    Ok(())
}

/// By the number of the attempt and the time of the rescue, after the errors that were there.
async fn q11_the_loss_is_recorded_as_the_error_of_the_attempt(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let failed_at = kit.now();
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    kit.claim_one(worker).await?;
    let lost_at = kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let record = kit.record(id).await?;
    ensure_eq!(record.error, None, "the error of a job that lives");
    let errors = record.errors;
    ensure_eq!(errors.len(), 2, "errors of {errors:?}");
    let first = AttemptError::new(1, failed_at, "failed".to_owned());
    ensure_eq!(errors[0], first, "the error of the first attempt");
    ensure_eq!((errors[1].attempt, errors[1].at), (2, lost_at), "attempt and time of the loss");
    ensure!(!errors[1].error.is_empty(), "the loss says nothing");
    Ok(())
}

/// By the worker's death as by the deadline: it is over, and says why.
async fn q11_a_job_that_has_used_its_attempts_dies_by_the_rescue(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job").max_retries(0).timeout(Duration::from_secs(1));
    let by_deadline = kit.insert_one(spec).await?;
    let patient = kit.worker_expiring_after(EXPIRY * 100).await?;
    kit.claim_one(patient).await?;
    kit.advance(GRACE + Duration::from_secs(1) - EXPIRY);
    let by_death = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    kit.claim_one(kit.worker().await?).await?;
    let died_at = kit.advance(EXPIRY);
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.died, reply.workers_lost), (0, 2, 1), "rescued, died, given up");
    for id in [by_deadline, by_death] {
        let record = kit.record(id).await?;
        ensure_eq!((record.state, record.finished_at), (State::Dead, Some(died_at)), "how and when it ended");
        ensure_eq!((record.attempt, record.errors.len()), (1, 1), "attempts and errors");
        ensure!(record.error.is_some_and(|error| !error.is_empty()), "the dead job {id} does not say why");
    }
    ensure!(kit.stored().await?.outcomes.iter().all(|row| row.claim.is_none()), "a lost claim ended a job");
    Ok(())
}

/// Dead workers' leases and overdue ones together; what is left is taken by the calls that follow.
async fn q11_a_rescue_takes_no_more_than_its_limit(kit: &Kit) -> CaseResult {
    let patient = kit.worker_expiring_after(EXPIRY * 100).await?;
    kit.insert((0..8).map(|_| kit.spec("job").timeout(EXPIRY * 100)).collect()).await?;
    kit.insert((0..4).map(|_| kit.spec("job").timeout(Duration::ZERO)).collect()).await?;
    for _ in 0..2 {
        kit.claim(kit.worker().await?, 4).await?;
    }
    kit.claim(patient, 4).await?;
    kit.advance(GRACE);
    let mut taken = Vec::new();
    let mut workers_lost = 0;
    for _ in 0..5 {
        let reply = kit.rescue(3).await?;
        taken.push(reply.rescued);
        workers_lost += reply.workers_lost;
    }
    ensure_eq!(taken, [3, 3, 3, 3, 0], "leases taken, three at most each time");
    ensure_eq!(workers_lost, 2, "workers given up");
    ensure_eq!(kit.claim(patient, 20).await?.len(), 12, "jobs that can be claimed again");
    Ok(())
}

/// A limit of zero leaves the part out: not even a worker that is overdue is touched.
async fn q11_a_rescue_of_nothing_gives_nobody_up(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY * 100);
    let reply = kit.maintain(MaintainRequest::rescue(0)).await?;
    ensure_eq!((reply.rescued, reply.died, reply.workers_lost), (0, 0, 0), "rescued, died, given up");
    kit.maintain(MaintainRequest::promote(10)).await?;
    ensure!(!kit.is_lost(worker).await?, "the worker was given up");
    ensure_eq!(kit.settle_one(token, complete()).await?, Settled::Done, "the settle of its lease");
    Ok(())
}

/// The worker is lost, yet a lease that nobody took is its job's own.
async fn q11_what_did_not_fit_the_limit_may_still_be_settled(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..6).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 6).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(2).await?.rescued, 2, "leases taken");
    ensure!(kit.is_lost(worker).await?, "the worker lives");
    let settled = kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    let done = settled.iter().filter(|settled| **settled == Settled::Done).count();
    ensure_eq!(done, 4, "leases that could be settled");
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "leases that were left to take");
    ensure_eq!(kit.claim(kit.worker().await?, 9).await?.len(), 2, "jobs that can be claimed again");
    Ok(())
}

/// By a hint for each queue and priority in the reply, and by a wake-up.
async fn q11_a_rescue_tells_what_became_ready(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let entered_at = kit.now();
    let levels = [("default", 3), ("default", 0), ("side", 0)];
    for (queue, priority) in levels {
        kit.insert_one(kit.spec("job").queue(queue).priority(priority)).await?;
        kit.claiming(worker, 1).queue(queue).take().await?;
    }
    kit.advance(EXPIRY);
    let mut wakes = kit.backend()?.subscribe();
    let mut told: Vec<_> = kit
        .rescue(10)
        .await?
        .ready
        .into_iter()
        .map(|hint| (hint.queue.to_string(), hint.priority, hint.run_at, hint.due_in))
        .collect();
    told.sort();
    let mut expected: Vec<_> = levels
        .into_iter()
        .map(|(queue, priority)| (queue.to_owned(), priority, entered_at, Duration::ZERO))
        .collect();
    expected.sort();
    ensure_eq!(told, expected, "the hints of the reply");
    let is_told = |all: &Wakes, (queue, priority)| {
        all.ready.iter().any(|hint| (hint.queue.as_str(), hint.priority) == (queue, priority))
    };
    announced(&mut wakes, |all| levels.into_iter().all(|level| is_told(all, level))).await?;

    Ok(())
}

/// What the lost attempt had reached is nothing to the next.
async fn q11_a_rescued_job_has_no_progress(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.report_progress(worker, token, 80).await?;
    ensure_eq!(kit.record(id).await?.progress.map(|progress| progress.done), Some(80), "the progress");
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    ensure_eq!(kit.record(id).await?.progress, None, "the progress of a job that waits");
    kit.claim_one(kit.worker().await?).await?;
    ensure_eq!(kit.record(id).await?.progress, None, "the progress of the next attempt");
    Ok(())
}
