//! Q12: a worker that sends heartbeats keeps its jobs; its expiry only moves forward.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{Beat, HeartbeatRequest, ProgressReport, Settled};
use queue_core::{ErrorKind, JobState, Progress, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, complete};

cases! {
    Fast q12_a_beating_worker_keeps_its_jobs,
    Fast q12_the_expiry_counts_from_the_last_heartbeat,
    Fast q12_the_expiry_never_moves_back,
    Fast q12_a_clock_that_jumps_back_an_hour_gives_nobody_up,
    Fast q12_a_worker_that_beats_after_a_jump_ahead_keeps_its_jobs,
    Fast q12_a_heartbeat_says_whether_it_came_in_time,
    Fast q12_lost_is_final,
    Fast q12_a_worker_that_nobody_entered_does_not_live,
    Fast q12_a_heartbeat_is_for_one_worker_only,
    Fast q12_a_heartbeat_counts_the_leases,
    Fast q12_a_stale_report_does_not_spoil_the_heartbeat,
    Fast q12_a_heartbeat_tells_when_the_next_job_is_due,
    Fast q12_an_expiry_beyond_the_end_of_time_is_never_reached,
    Fast q12_the_expiry_outlives_the_handle [Durable],
}

const HOUR: Duration = Duration::from_secs(3600);

/// A worker sends heartbeats for an hour, each just in time. No rescue may take its leases, and
/// they must settle.
async fn q12_a_beating_worker_keeps_its_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job").timeout(HOUR * 2)).collect()).await?;
    let held = kit.claim(worker, 3).await?;
    for beat in 0..300 {
        kit.advance(EXPIRY - TICK);
        ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of jobs rescued before heartbeat {beat}");
        ensure_eq!(kit.heartbeat(worker).await?.leases, 3, "the number of leases at heartbeat {beat}");
    }
    let settled = kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    ensure_eq!(settled, [Settled::Done; 3], "the replies to the settles after an hour");
    Ok(())
}

/// A worker sends a heartbeat, and later a claim. Its expiry must count from the heartbeat, neither
/// from the registration nor from the claim.
async fn q12_the_expiry_counts_from_the_last_heartbeat(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").timeout(HOUR)).await?;
    kit.advance(Duration::from_secs(7));
    kit.heartbeat(worker).await?;
    kit.advance(Duration::from_secs(7));
    kit.claim_one(worker).await?;
    kit.advance(EXPIRY - Duration::from_secs(7) - TICK);
    ensure_eq!(
        kit.rescue(10).await?.workers_lost,
        0,
        "the number of workers lost one tick before the expiry"
    );
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the number of workers lost at the expiry");
    Ok(())
}

/// A heartbeat has an earlier time than the one before. It must not move the expiry back.
async fn q12_the_expiry_never_moves_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let last = kit.advance(Duration::from_secs(10));
    kit.heartbeat(worker).await?;
    for earlier in [last.saturating_sub(Duration::from_secs(1)), Timestamp::UNIX_EPOCH] {
        kit.set_clock(earlier);
        ensure_eq!(kit.heartbeat(worker).await?.beat, Beat::InTime, "the result of a heartbeat at {earlier}");
    }
    kit.set_clock(last.saturating_add(EXPIRY - TICK));
    ensure_eq!(
        kit.rescue(10).await?.workers_lost,
        0,
        "the number of workers lost one tick before the expiry"
    );
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the number of workers lost at the expiry");
    Ok(())
}

/// The clock jumps back by an hour. The worker must stay alive, and its heartbeats, claims and
/// settles must succeed.
async fn q12_a_clock_that_jumps_back_an_hour_gives_nobody_up(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let registered_at = kit.now();
    kit.insert_one(kit.spec("job")).await?;
    let held = kit.claim_one(worker).await?;
    kit.set_clock(registered_at.saturating_sub(HOUR));
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.workers_lost), (0, 0), "the numbers of jobs rescued and workers lost");
    ensure_eq!(kit.heartbeat(worker).await?.beat, Beat::InTime, "the result of the heartbeat");
    ensure_eq!(kit.settle_one(held.token, complete()).await?, Settled::Done, "the reply to the settle");
    kit.insert_one(kit.spec("job").run_at(kit.now())).await?;
    kit.claim_one(worker).await?;
    kit.set_clock(registered_at.saturating_add(EXPIRY - TICK));
    ensure_eq!(
        kit.rescue(10).await?.workers_lost,
        0,
        "the number of workers lost before the expiry of the first heartbeat"
    );
    Ok(())
}

/// The clock jumps ahead past the expiry of two workers. The one that sends a heartbeat before the
/// rescue must keep its job, the other must be lost.
async fn q12_a_worker_that_beats_after_a_jump_ahead_keeps_its_jobs(kit: &Kit) -> CaseResult {
    let (quick, slow) = (kit.worker().await?, kit.worker().await?);
    let jobs = kit.insert((0..2).map(|_| kit.spec("job").timeout(HOUR * 9)).collect()).await?;
    let held = kit.claim_one(quick).await?;
    kit.claim_one(slow).await?;
    kit.advance(HOUR);
    ensure_eq!(
        kit.heartbeat(quick).await?.beat,
        Beat::Late,
        "the result of the first heartbeat after the jump"
    );
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.workers_lost), (1, 1), "the numbers of jobs rescued and workers lost");
    ensure_eq!(
        kit.state(jobs[0]).await?,
        JobState::Running,
        "the state of the job whose worker sent a heartbeat"
    );
    ensure_eq!(kit.heartbeat(quick).await?.beat, Beat::InTime, "the result of the second heartbeat");
    ensure_eq!(kit.settle_one(held.token, complete()).await?, Settled::Done, "the reply to the settle");
    ensure!(kit.is_lost(slow).await?, "the worker without a heartbeat is still alive");
    Ok(())
}

/// A heartbeat arrives before, at or after the expiry. It must be reported as in time before it and
/// as late from it on.
async fn q12_a_heartbeat_says_whether_it_came_in_time(kit: &Kit) -> CaseResult {
    let expected = [
        (EXPIRY - TICK, Beat::InTime),
        (EXPIRY, Beat::Late),
        (EXPIRY + TICK, Beat::Late),
        (TICK, Beat::InTime),
    ];
    let worker = kit.worker().await?;
    for (wait, beat) in expected {
        kit.advance(wait);
        ensure_eq!(kit.heartbeat(worker).await?.beat, beat, "the result of a heartbeat after {wait:?}");
    }
    Ok(())
}

/// A worker is lost. Each later heartbeat, claim and registration must fail, at any clock time, and
/// its leases must not settle.
async fn q12_lost_is_final(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let registered_at = kit.now();
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    for time in [kit.now(), registered_at, Timestamp::UNIX_EPOCH, registered_at.saturating_add(HOUR)] {
        kit.set_clock(time);
        fails_with(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
        fails_with(kit.claiming(worker, 9).attempt().await?, ErrorKind::WorkerLost)?;
        fails_with(kit.try_register(worker).await?, ErrorKind::Conflict)?;
        ensure_eq!(
            kit.settle_one(token, complete()).await?,
            Settled::LeaseLost,
            "the reply to a settle at {time}"
        );
        kit.retire(worker).await?;
    }
    let another = kit.worker().await?;
    ensure_eq!(kit.claim(another, 9).await?.len(), 1, "the number of jobs that a new worker can claim");
    Ok(())
}

/// A worker was never registered, or has retired. Its heartbeats and claims must return
/// `WorkerLost`.
async fn q12_a_worker_that_nobody_entered_does_not_live(kit: &Kit) -> CaseResult {
    let retired = kit.worker().await?;
    kit.retire(retired).await?;
    kit.insert_one(kit.spec("job")).await?;
    for worker in [kit.new_worker_id(), retired] {
        let error = fails_with(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
        ensure!(
            error.to_string().contains(&worker.to_string()),
            "the error does not name the worker: {error}"
        );
        fails_with(kit.claiming(worker, 9).attempt().await?, ErrorKind::WorkerLost)?;
    }
    ensure_eq!(kit.stored().await?.workers, [], "the registered workers");
    ensure_eq!(kit.claim(kit.worker().await?, 9).await?.len(), 1, "the number of jobs left to claim");
    Ok(())
}

/// One of two workers sends heartbeats. The other must be lost at its expiry.
async fn q12_a_heartbeat_is_for_one_worker_only(kit: &Kit) -> CaseResult {
    let (beating, silent) = (kit.worker().await?, kit.worker().await?);
    kit.advance(EXPIRY - TICK);
    kit.heartbeat(beating).await?;
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the number of workers lost");
    ensure!(kit.is_lost(silent).await? && !kit.is_lost(beating).await?, "the wrong worker was lost");
    Ok(())
}

/// A worker claims, settles, releases, and loses a lease by deadline. Each heartbeat reply must
/// count its live leases.
async fn q12_a_heartbeat_counts_the_leases(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(HOUR).await?;
    let spec = |index: u64| kit.spec("job").timeout(Duration::from_secs(60 * (index + 1)));
    kit.insert((0..6).map(spec).collect()).await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 0, "the number of leases before the first claim");
    let mut held = kit.claim(worker, 4).await?;
    held.extend(kit.claim(worker, 1).await?);
    ensure_eq!(kit.heartbeat(worker).await?.leases, 5, "the number of leases of two claims");
    kit.settle_one(held[1].token, complete()).await?;
    kit.settle_one(held[4].token, queue_core::backend::Verdict::Release).await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 3, "the number of leases after two settles");
    kit.advance(Duration::from_secs(100));
    kit.rescue(10).await?;
    ensure_eq!(
        kit.heartbeat(worker).await?.leases,
        2,
        "the number of leases after one was rescued at its deadline"
    );
    Ok(())
}

/// A heartbeat carries three progress reports, one of them for an ended lease. The other reports
/// must be stored, and the heartbeat must extend the expiry.
async fn q12_a_stale_report_does_not_spoil_the_heartbeat(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 3).await?;
    kit.settle_one(held[1].token, complete()).await?;
    kit.advance(EXPIRY - TICK);
    let mut request = HeartbeatRequest::new(worker).at(kit.now());
    for (done, job) in (1_u64..).zip(&held) {
        request.progress.push(ProgressReport::new(job.token, Progress { done, total: 9 }));
    }
    ensure_eq!(kit.backend()?.heartbeat(request).await?.leases, 2, "the number of live leases");
    for (done, job) in [(Some(1), &held[0]), (None, &held[1]), (Some(3), &held[2])] {
        let progress = kit.record(job.token.job).await?.progress;
        ensure_eq!(progress.map(|progress| progress.done), done, "the progress of job {}", job.token.job);
    }
    kit.advance(EXPIRY - TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "the number of workers lost");
    Ok(())
}

/// Scheduled jobs are due at several times. The heartbeat reply may name the time until the next
/// one, and must not name a longer time.
async fn q12_a_heartbeat_tells_when_the_next_job_is_due(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let in_secs = |seconds| kit.now().saturating_add(Duration::from_secs(seconds));
    let specs = [90, 10, 40].map(|seconds| kit.spec("job").run_at(in_secs(seconds)));
    kit.insert(specs.to_vec()).await?;
    for (wait, due) in [(0, 10), (4, 6), (7, 29)] {
        kit.advance(Duration::from_secs(wait));
        kit.claim(worker, 9).await?;
        if let Some(named) = kit.heartbeat(worker).await?.next_due {
            ensure!(
                named <= Duration::from_secs(due),
                "the heartbeat names {named:?}, but the next job is due in {due} s"
            );
        }
    }
    Ok(())
}

/// A worker has the greatest expiry. It must never be lost.
async fn q12_an_expiry_beyond_the_end_of_time_is_never_reached(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(Duration::MAX).await?;
    for time in [Timestamp::UNIX_EPOCH, kit.now(), Timestamp::MAX.saturating_sub(TICK)] {
        kit.set_clock(time);
        ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "the number of workers lost at {time}");
        ensure_eq!(kit.heartbeat(worker).await?.beat, Beat::InTime, "the result of the heartbeat at {time}");
    }
    Ok(())
}

/// The handle is reopened. The expiry must count from the last heartbeat, not from the reopen.
async fn q12_the_expiry_outlives_the_handle(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.advance(Duration::from_secs(5));
    kit.heartbeat(worker).await?;
    kit.advance(EXPIRY - TICK);
    kit.reopen().await?;
    ensure_eq!(
        kit.rescue(10).await?.workers_lost,
        0,
        "the number of workers lost one tick before the expiry"
    );
    kit.advance(TICK);
    kit.reopen().await?;
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the number of workers lost at the expiry");
    Ok(())
}
