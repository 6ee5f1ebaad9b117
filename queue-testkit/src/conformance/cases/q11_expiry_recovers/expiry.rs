//! Q11: the job of a dead worker is claimable after the worker's expiry, never before.

use std::time::Duration;

use anyhow::ensure;
use queue_core::JobState;
use queue_core::backend::Settled;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, TICK, complete};

cases! {
    Fast q11_a_job_comes_back_at_its_workers_expiry_and_not_before,
    Fast q11_a_lease_is_taken_at_its_deadline_though_its_worker_beats,
    Fast q11_each_worker_has_an_expiry_of_its_own,
    Fast q11_a_heartbeat_before_the_rescue_saves_the_worker,
    Fast q11_a_dead_worker_without_leases_is_given_up_too,
    Fast q11_a_worker_that_retired_with_leases_is_left_to_expire,
    Fast q11_a_deadline_counts_from_the_claim_by_the_jobs_own_timeout,
    Fast q11_a_deadline_beyond_the_end_of_time_is_never_reached,
    Fast q11_a_deadline_counts_each_microsecond,
    Fast q11_workers_without_leases_use_up_no_limit_of_a_rescue,
    Fast q11_a_worker_that_left_no_trace_is_rescued_after_the_restart [Durable],
}

/// A worker sends no heartbeat. A rescue must not take its job one tick before its expiry, and must
/// take it at the expiry or later.
async fn q11_a_job_comes_back_at_its_workers_expiry_and_not_before(kit: &Kit) -> CaseResult {
    for late in [Duration::ZERO, TICK] {
        let id = kit.insert_one(kit.spec("job")).await?;
        let lost = kit.worker().await?;
        kit.claim_one(lost).await?;
        let expiry = kit.now().saturating_add(EXPIRY);
        kit.set_clock(expiry.saturating_sub(TICK));
        let early = kit.rescue(10).await?;
        ensure_eq!(
            (early.rescued, early.workers_lost),
            (0, 0),
            "the numbers of jobs rescued and workers lost one tick before the expiry"
        );
        kit.set_clock(expiry.saturating_add(late));
        let reply = kit.rescue(10).await?;
        ensure_eq!(
            (reply.rescued, reply.workers_lost),
            (1, 1),
            "the numbers of jobs rescued and workers lost {late:?} after the expiry"
        );
        let next = kit.worker().await?;
        let job = kit.claim_one(next).await?;
        ensure_eq!((job.token.job, job.attempt), (id, 2), "the job and attempt of the next claim");
        kit.settle_one(job.token, complete()).await?;
        kit.retire(next).await?;
    }
    Ok(())
}

/// A live worker exceeds the deadline of one lease. A rescue must take this lease only. The worker
/// must stay alive, and may claim the job again.
async fn q11_a_lease_is_taken_at_its_deadline_though_its_worker_beats(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let timeouts = [Duration::from_secs(5), Duration::from_secs(500)];
    let jobs = kit.insert(timeouts.map(|timeout| kit.spec("job").timeout(timeout)).to_vec()).await?;
    let held = kit.claim(worker, 2).await?;
    let deadline = kit.now().saturating_add(timeouts[0] + GRACE);
    while kit.now() < deadline.saturating_sub(TICK) {
        kit.set_clock(kit.now().saturating_add(EXPIRY / 2).min(deadline.saturating_sub(TICK)));
        kit.heartbeat(worker).await?;
        ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of leases rescued before the deadline");
    }
    kit.set_clock(deadline);
    let reply = kit.rescue(10).await?;
    ensure_eq!(
        (reply.rescued, reply.workers_lost),
        (1, 0),
        "the numbers of leases rescued and workers lost at the deadline"
    );
    ensure_eq!(
        kit.settle_one(held[0].token, complete()).await?,
        Settled::LeaseLost,
        "the reply to a settle of the overdue lease"
    );
    ensure_eq!(
        kit.settle_one(held[1].token, complete()).await?,
        Settled::Done,
        "the reply to a settle of the other lease"
    );
    let again = kit.claim_one(worker).await?;
    ensure_eq!((again.token.job, again.attempt), (jobs[0], 2), "the job and attempt of the next claim");
    Ok(())
}

/// Three workers have an expiry of one, sixty and three seconds. Each must be lost at its own
/// expiry.
async fn q11_each_worker_has_an_expiry_of_its_own(kit: &Kit) -> CaseResult {
    let start = kit.now();
    let mut leases = Vec::new();
    for seconds in [1, 60, 3] {
        let worker = kit.worker_expiring_after(Duration::from_secs(seconds)).await?;
        let id = kit.insert_one(kit.spec("job").timeout(Duration::from_secs(600))).await?;
        kit.claim_one(worker).await?;
        leases.push((seconds, id));
    }
    leases.sort_unstable();
    for (seconds, id) in leases {
        kit.set_clock(start.saturating_add(Duration::from_secs(seconds)).saturating_sub(TICK));
        ensure_eq!(
            kit.rescue(10).await?.rescued,
            0,
            "the number of jobs rescued one tick before {seconds} s"
        );
        kit.advance(TICK);
        ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of jobs rescued at {seconds} s");
        ensure_eq!(
            kit.state(id).await?,
            JobState::Ready,
            "the state of the job whose worker expires after {seconds} s"
        );
    }
    Ok(())
}

/// A worker sends a heartbeat after its expiry, before any rescue. It must stay alive and keep its
/// lease.
async fn q11_a_heartbeat_before_the_rescue_saves_the_worker(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job").timeout(EXPIRY * 100)).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY * 3);
    kit.heartbeat(worker).await?;
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.workers_lost), (0, 0), "the numbers of jobs rescued and workers lost");
    ensure_eq!(kit.state(id).await?, JobState::Running, "the state of the job");
    ensure_eq!(kit.settle_one(token, complete()).await?, Settled::Done, "the reply to the settle");
    Ok(())
}

/// An expired worker has no leases. A rescue must mark it as lost, otherwise it could still claim.
async fn q11_a_dead_worker_without_leases_is_given_up_too(kit: &Kit) -> CaseResult {
    let idle = kit.worker().await?;
    kit.advance(EXPIRY);
    let reply = kit.rescue(1).await?;
    ensure_eq!(
        (reply.rescued, reply.died, reply.workers_lost),
        (0, 0, 1),
        "the numbers of jobs rescued, jobs dead and workers lost"
    );
    ensure!(kit.is_lost(idle).await?, "the idle worker is still alive");
    let workers = kit.stored().await?.workers;
    ensure_eq!(workers, [], "the workers that are not lost");
    ensure_eq!(kit.rescue(1).await?.workers_lost, 0, "the number of workers lost in the second rescue");
    Ok(())
}

/// A worker retires with leases, whose jobs may still run. No rescue may take them before the
/// expiry.
async fn q11_a_worker_that_retired_with_leases_is_left_to_expire(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    let held = kit.claim(worker, 2).await?;
    kit.retire(worker).await?;
    kit.advance(EXPIRY - TICK);
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of jobs rescued before the expiry");
    ensure_eq!(
        kit.settle_one(held[0].token, complete()).await?,
        Settled::Done,
        "the reply to a settle before the expiry"
    );
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of jobs rescued at the expiry");
    ensure_eq!(kit.state(jobs[1]).await?, JobState::Ready, "the state of the job that was not settled");
    Ok(())
}

/// A worker makes two claims ten seconds apart, of jobs with different timeouts. Each deadline must
/// be the time of the claim plus the job's timeout plus the grace period.
async fn q11_a_deadline_counts_from_the_claim_by_the_jobs_own_timeout(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(Duration::from_secs(10_000)).await?;
    let second = Duration::from_secs(1);
    let specs = [20, 5, 12].map(|seconds| kit.spec("job").timeout(second * seconds));
    let jobs = kit.insert(specs.to_vec()).await?;
    let start = kit.now();
    kit.claim(worker, 1).await?;
    kit.advance(second * 10);
    kit.claim(worker, 2).await?;
    let mut deadlines = vec![(20, jobs[0]), (15, jobs[1]), (22, jobs[2])];
    for row in kit.stored().await?.live {
        let own = deadlines.iter().find(|(_, id)| *id == row.id).map(|(seconds, _)| second * *seconds);
        let expected = own.map(|own| start.saturating_add(own + GRACE));
        ensure_eq!(row.deadline, expected, "the deadline of job {}", row.id);
    }
    deadlines.sort_unstable();
    for (seconds, id) in deadlines {
        kit.set_clock(start.saturating_add(second * seconds + GRACE));
        ensure_eq!(
            kit.rescue(10).await?.rescued,
            1,
            "the number of jobs rescued at {seconds} s plus the grace period"
        );
        ensure_eq!(kit.state(id).await?, JobState::Ready, "the state of the job with this deadline");
    }
    Ok(())
}

/// Timeout and expiry are the greatest duration. No rescue may take the job.
async fn q11_a_deadline_beyond_the_end_of_time_is_never_reached(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(Duration::MAX).await?;
    let id = kit.insert_one(kit.spec("job").timeout(Duration::MAX)).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(Duration::from_secs(100 * 365 * 86_400));
    kit.heartbeat(worker).await?;
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.workers_lost), (0, 0), "the numbers of jobs rescued and workers lost");
    ensure_eq!(kit.state(id).await?, JobState::Running, "the state of the job after a hundred years");
    ensure_eq!(kit.settle_one(token, complete()).await?, Settled::Done, "the reply to the settle");
    Ok(())
}

/// Timeouts are longer or shorter than whole seconds and milliseconds by one microsecond. Each
/// lease must be taken at its own microsecond.
async fn q11_a_deadline_counts_each_microsecond(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(GRACE * 100).await?;
    for micros in [1, 999, 1_001, 999_999, 1_000_001] {
        let timeout = Duration::from_micros(micros);
        let id = kit.insert_one(kit.spec("job").timeout(timeout)).await?;
        kit.claim_one(worker).await?;
        kit.advance(timeout + GRACE - TICK);
        ensure_eq!(kit.rescue(10).await?.rescued, 0, "the leases rescued one tick before {micros} µs");
        kit.advance(TICK);
        ensure_eq!(kit.rescue(10).await?.rescued, 1, "the leases rescued after {micros} µs");
        kit.cancel(id).await?;
    }
    Ok(())
}

/// Three dead workers have no lease, and the fourth has one. A rescue with limit 1 must take it,
/// because the limit counts leases.
async fn q11_workers_without_leases_use_up_no_limit_of_a_rescue(kit: &Kit) -> CaseResult {
    for _ in 0..3 {
        kit.worker().await?;
    }
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(kit.worker().await?).await?;
    for _ in 0..3 {
        kit.worker().await?;
    }
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(1).await?.rescued, 1, "the number of jobs rescued with limit 1");
    ensure_eq!(kit.state(id).await?, JobState::Ready, "the state of the job");
    Ok(())
}

/// A worker's process ends without a shutdown, and the handle is reopened. A rescue must take its
/// job at the expiry.
async fn q11_a_worker_that_left_no_trace_is_rescued_after_the_restart(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let old = kit.claim_one(kit.worker().await?).await?.token;
    kit.reopen().await?;
    let next = kit.worker().await?;
    kit.advance(EXPIRY - TICK);
    kit.heartbeat(next).await?;
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of jobs rescued before the expiry");
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of jobs rescued at the expiry");
    kit.reopen().await?;
    let job = kit.claim_one(next).await?;
    ensure_eq!((job.token.job, job.attempt), (id, 2), "the job and attempt of the next claim");
    ensure_eq!(
        kit.settle_one(old, complete()).await?,
        Settled::LeaseLost,
        "the reply to a settle of the old lease"
    );
    Ok(())
}
