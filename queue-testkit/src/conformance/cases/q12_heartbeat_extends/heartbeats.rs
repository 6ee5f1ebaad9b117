//! Q12: a beating worker keeps its jobs; its expiry only moves forward.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{Beat, HeartbeatRequest, ProgressReport, Settled};
use queue_core::{ErrorKind, Progress, State, Timestamp};

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

/// For an hour, with a rescue after each beat.
async fn q12_a_beating_worker_keeps_its_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job").timeout(HOUR * 2)).collect()).await?;
    let held = kit.claim(worker, 3).await?;
    for beat in 0..300 {
        kit.advance(EXPIRY - TICK);
        ensure_eq!(kit.rescue(10).await?.rescued, 0, "jobs rescued before beat {beat}");
        ensure_eq!(kit.heartbeat(worker).await?.leases, 3, "leases at beat {beat}");
    }
    let settled = kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    ensure_eq!(settled, [Settled::Done; 3], "the settles after an hour");
    Ok(())
}

/// Not from the registration, and not from the claim.
async fn q12_the_expiry_counts_from_the_last_heartbeat(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").timeout(HOUR)).await?;
    kit.advance(Duration::from_secs(7));
    kit.heartbeat(worker).await?;
    kit.advance(Duration::from_secs(7));
    kit.claim_one(worker).await?;
    kit.advance(EXPIRY - Duration::from_secs(7) - TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "workers given up a tick before");
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "workers given up at the expiry");
    Ok(())
}

/// A heartbeat of an earlier time changes nothing, be it a second earlier or the beginning of time.
async fn q12_the_expiry_never_moves_back(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let last = kit.advance(Duration::from_secs(10));
    kit.heartbeat(worker).await?;
    for earlier in [last.saturating_sub(Duration::from_secs(1)), Timestamp::UNIX_EPOCH] {
        kit.set_clock(earlier);
        ensure_eq!(kit.heartbeat(worker).await?.beat, Beat::InTime, "a heartbeat at {earlier}");
    }
    kit.set_clock(last.saturating_add(EXPIRY - TICK));
    ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "workers given up a tick before");
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "workers given up at the expiry");
    Ok(())
}

/// Beats, claims and settles go on meanwhile, and when the clock is right again.
async fn q12_a_clock_that_jumps_back_an_hour_gives_nobody_up(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let entered_at = kit.now();
    kit.insert_one(kit.spec("job")).await?;
    let held = kit.claim_one(worker).await?;
    kit.set_clock(entered_at.saturating_sub(HOUR));
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.workers_lost), (0, 0), "rescued, and given up");
    ensure_eq!(kit.heartbeat(worker).await?.beat, Beat::InTime, "the heartbeat");
    ensure_eq!(kit.settle_one(held.token, complete()).await?, Settled::Done, "the settle");
    kit.insert_one(kit.spec("job").run_at(kit.now())).await?;
    kit.claim_one(worker).await?;
    kit.set_clock(entered_at.saturating_add(EXPIRY - TICK));
    ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "given up before the expiry from before the jump");
    Ok(())
}

/// It beats first, late, and is safe; the one that does not is given up.
async fn q12_a_worker_that_beats_after_a_jump_ahead_keeps_its_jobs(kit: &Kit) -> CaseResult {
    let (quick, slow) = (kit.worker().await?, kit.worker().await?);
    let jobs = kit.insert((0..2).map(|_| kit.spec("job").timeout(HOUR * 9)).collect()).await?;
    let held = kit.claim_one(quick).await?;
    kit.claim_one(slow).await?;
    kit.advance(HOUR);
    ensure_eq!(kit.heartbeat(quick).await?.beat, Beat::Late, "the first heartbeat after the jump");
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.rescued, reply.workers_lost), (1, 1), "rescued, and given up");
    ensure_eq!(kit.state(jobs[0]).await?, State::Running, "the job of the worker that beat");
    ensure_eq!(kit.heartbeat(quick).await?.beat, Beat::InTime, "its second heartbeat");
    ensure_eq!(kit.settle_one(held.token, complete()).await?, Settled::Done, "its settle");
    ensure!(kit.is_lost(slow).await?, "the worker that did not beat lives");
    Ok(())
}

/// In time until the expiry, late from it on; and late only once, since it is extended.
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
        ensure_eq!(kit.heartbeat(worker).await?.beat, beat, "a heartbeat after {wait:?}");
    }
    Ok(())
}

/// Whatever it does, and wherever the clock goes.
async fn q12_lost_is_final(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let entered_at = kit.now();
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    for time in [kit.now(), entered_at, Timestamp::UNIX_EPOCH, entered_at.saturating_add(HOUR)] {
        kit.set_clock(time);
        fails_with(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
        fails_with(kit.claiming(worker, 9).attempt().await?, ErrorKind::WorkerLost)?;
        fails_with(kit.try_register(worker).await?, ErrorKind::Conflict)?;
        ensure_eq!(kit.settle_one(token, complete()).await?, Settled::LeaseLost, "a settle at {time}");
        kit.retire(worker).await?;
    }
    let another = kit.worker().await?;
    ensure_eq!(kit.claim(another, 9).await?.len(), 1, "jobs for a worker that registers anew");
    Ok(())
}

/// Neither one that never registered nor one that retired beats or claims.
async fn q12_a_worker_that_nobody_entered_does_not_live(kit: &Kit) -> CaseResult {
    let retired = kit.worker().await?;
    kit.retire(retired).await?;
    kit.insert_one(kit.spec("job")).await?;
    for worker in [kit.new_worker_id(), retired] {
        let error = fails_with(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
        ensure!(error.to_string().contains(&worker.to_string()), "the error does not name it: {error}");
        fails_with(kit.claiming(worker, 9).attempt().await?, ErrorKind::WorkerLost)?;
    }
    ensure_eq!(kit.stored().await?.workers, [], "the workers that are registered");
    ensure_eq!(kit.claim(kit.worker().await?, 9).await?.len(), 1, "jobs that are left to claim");
    Ok(())
}

/// One that beats keeps nobody else alive.
async fn q12_a_heartbeat_is_for_one_worker_only(kit: &Kit) -> CaseResult {
    let (beating, silent) = (kit.worker().await?, kit.worker().await?);
    kit.advance(EXPIRY - TICK);
    kit.heartbeat(beating).await?;
    kit.advance(TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "workers given up");
    ensure!(kit.is_lost(silent).await? && !kit.is_lost(beating).await?, "the wrong worker was given up");
    Ok(())
}

/// Those that were claimed and not yet settled, given back, or taken.
async fn q12_a_heartbeat_counts_the_leases(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(HOUR).await?;
    let spec = |index: u64| kit.spec("job").timeout(Duration::from_secs(60 * (index + 1)));
    kit.insert((0..6).map(spec).collect()).await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 0, "leases at first");
    let mut held = kit.claim(worker, 4).await?;
    held.extend(kit.claim(worker, 1).await?);
    ensure_eq!(kit.heartbeat(worker).await?.leases, 5, "leases of two claims");
    kit.settle_one(held[1].token, complete()).await?;
    kit.settle_one(held[4].token, queue_core::backend::Verdict::Release).await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 3, "leases after two settles");
    kit.advance(Duration::from_secs(100));
    kit.rescue(10).await?;
    ensure_eq!(kit.heartbeat(worker).await?.leases, 2, "leases after one was taken at its deadline");
    Ok(())
}

/// Of three reports one is of a lease that has ended: the others are stored, and the worker lives on.
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
    ensure_eq!(kit.backend()?.heartbeat(request).await?.leases, 2, "live leases");
    for (done, job) in [(Some(1), &held[0]), (None, &held[1]), (Some(3), &held[2])] {
        let progress = kit.record(job.token.job).await?.progress;
        ensure_eq!(progress.map(|progress| progress.done), done, "the progress of job {}", job.token.job);
    }
    kit.advance(EXPIRY - TICK);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "workers given up");
    Ok(())
}

/// As a duration from now; a backend need not know, but may not be late.
async fn q12_a_heartbeat_tells_when_the_next_job_is_due(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let in_secs = |seconds| kit.now().saturating_add(Duration::from_secs(seconds));
    let specs = [90, 10, 40].map(|seconds| kit.spec("job").run_at(in_secs(seconds)));
    kit.insert(specs.to_vec()).await?;
    for (wait, due) in [(0, 10), (4, 6), (7, 29)] {
        kit.advance(Duration::from_secs(wait));
        kit.claim(worker, 9).await?;
        if let Some(told) = kit.heartbeat(worker).await?.next_due {
            ensure!(told <= Duration::from_secs(due), "told {told:?} when the next job is due in {due} s");
        }
    }
    Ok(())
}

/// A worker of the longest expiry there is beats like any other.
async fn q12_an_expiry_beyond_the_end_of_time_is_never_reached(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(Duration::MAX).await?;
    for time in [Timestamp::UNIX_EPOCH, kit.now(), Timestamp::MAX.saturating_sub(TICK)] {
        kit.set_clock(time);
        ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "workers given up at {time}");
        ensure_eq!(kit.heartbeat(worker).await?.beat, Beat::InTime, "the heartbeat at {time}");
    }
    Ok(())
}

/// The last heartbeat counts, not the opening.
async fn q12_the_expiry_outlives_the_handle(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.advance(Duration::from_secs(5));
    kit.heartbeat(worker).await?;
    kit.advance(EXPIRY - TICK);
    kit.reopen().await?;
    ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "workers given up a tick before");
    kit.advance(TICK);
    kit.reopen().await?;
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "workers given up at the expiry");
    Ok(())
}
