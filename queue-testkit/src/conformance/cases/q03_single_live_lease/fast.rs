//! Q3: at most one live lease per job; a rescue never takes a job from a live worker.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::Verdict;
use queue_core::{JobId, JobState, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, release, retry, snooze};

cases! {
    Fast q03_a_running_job_is_given_to_nobody_else,
    Fast q03_each_end_of_a_lease_gives_one_new_one,
    Fast q03_a_rescue_takes_the_leases_of_the_dead_only,
    Fast q03_a_rescue_by_deadline_takes_the_overdue_only,
    Fast q03_a_worker_has_the_leases_of_its_own_claims,
    Fast q03_a_lost_worker_keeps_no_lease,
    Fast q03_a_claim_brings_no_job_twice,
    Fast q03_a_kind_named_twice_brings_no_job_twice,
}

/// A job is running. No worker may claim it, not even its holder. A repeated insert, a cancel
/// request and elapsed time must not make it claimable.
async fn q03_a_running_job_is_given_to_nobody_else(kit: &Kit) -> CaseResult {
    let holder = kit.worker().await?;
    let spec = kit.spec("job");
    let id = kit.insert_one(spec.clone()).await?;
    let held = kit.claim_one(holder).await?;
    for hours in 0..3 {
        kit.set_clock(kit.now().saturating_add(Duration::from_secs(3600 * hours)));
        kit.try_insert(vec![spec.clone()]).await??;
        kit.cancel_running(id).await?;
        kit.promote(10).await?;
        for worker in [holder, kit.worker().await?] {
            ensure_eq!(kit.claim(worker, 9).await?, [], "the reply to a claim while the only job is running");
        }
    }
    ensure_eq!(kit.leases(holder, held.token.claim).await?, [held], "the live leases of the claim");
    Ok(())
}

/// A lease ends by release, snooze, retry or rescue. The next claim must return the job under a new
/// token, and the claim after it must return nothing.
async fn q03_each_end_of_a_lease_gives_one_new_one(kit: &Kit) -> CaseResult {
    let ends: [Option<Verdict>; 4] = [Some(release()), Some(snooze(0)), Some(retry("failed", 0)), None];
    let id = kit.insert_one(kit.spec("job")).await?;
    let mut held = kit.claim_one(kit.worker().await?).await?;
    for end in ends {
        let what = format!("{end:?}");
        if let Some(verdict) = end {
            kit.settle_one(held.token, verdict).await?;
        } else {
            kit.advance(EXPIRY);
            kit.rescue(10).await?;
        }
        let (first, second) = (kit.worker().await?, kit.worker().await?);
        let old = std::mem::replace(&mut held, kit.claim_one(first).await?);
        ensure_eq!(held.token.job, id, "the job of the first claim after {what}");
        ensure!(held.token != old.token, "the new lease has the token of the old one, after {what}");
        ensure_eq!(kit.claim(second, 9).await?, [], "the second claim after {what}");
    }
    Ok(())
}

/// Half of eight workers send heartbeats, and the leases of all are interleaved. The rescue must
/// take exactly the leases of the expired workers.
async fn q03_a_rescue_takes_the_leases_of_the_dead_only(kit: &Kit) -> CaseResult {
    kit.insert((0..32).map(|_| kit.spec("job")).collect()).await?;
    let mut workers = Vec::new();
    for _ in 0..8 {
        workers.push(kit.worker().await?);
    }
    let mut held: Vec<(WorkerId, JobId)> = Vec::new();
    for turn in 0..32 {
        let worker = workers[turn % 8];
        held.push((worker, kit.claim_one(worker).await?.token.job));
    }
    kit.advance(EXPIRY - Duration::from_secs(1));
    for worker in workers.iter().step_by(2) {
        kit.heartbeat(*worker).await?;
    }
    kit.advance(Duration::from_secs(1));
    let reply = kit.rescue(100).await?;
    ensure_eq!(
        (reply.rescued, reply.workers_lost),
        (16, 4),
        "the numbers of leases rescued and of workers lost"
    );
    for (worker, job) in held {
        let is_alive = workers.iter().step_by(2).any(|alive| *alive == worker);
        let expected = if is_alive { JobState::Running } else { JobState::Ready };
        ensure_eq!(kit.state(job).await?, expected, "the state of a job whose worker is alive ({is_alive})");
    }
    Ok(())
}

/// A live worker holds leases with short and long timeouts. The rescue must take exactly the
/// overdue leases.
async fn q03_a_rescue_by_deadline_takes_the_overdue_only(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let second = Duration::from_secs(1);
    let timeouts = [1, 900, 2, 800].map(|seconds| kit.spec("job").timeout(second * seconds));
    let jobs = kit.insert(timeouts.to_vec()).await?;
    kit.claim(worker, 4).await?;
    for _ in 0..10 {
        kit.advance(second * 10);
        kit.heartbeat(worker).await?;
    }
    ensure_eq!(kit.rescue(10).await?.rescued, 2, "the number of leases rescued");
    let expected = [JobState::Ready, JobState::Running, JobState::Ready, JobState::Running];
    for (job, expected) in jobs.into_iter().zip(expected) {
        ensure_eq!(kit.state(job).await?, expected, "the state of job {job}");
    }
    ensure_eq!(kit.heartbeat(worker).await?.leases, 2, "the number of leases that the worker still holds");
    Ok(())
}

/// Two workers claim in turn. Each claim id must list the leases of that claim, and only for its
/// own worker.
async fn q03_a_worker_has_the_leases_of_its_own_claims(kit: &Kit) -> CaseResult {
    let (first, second) = (kit.worker().await?, kit.worker().await?);
    kit.insert((0..6).map(|_| kit.spec("job")).collect()).await?;
    let claims = [kit.claim(first, 1).await?, kit.claim(second, 2).await?, kit.claim(first, 3).await?];
    for (worker, jobs) in [(first, &claims[0]), (second, &claims[1]), (first, &claims[2])] {
        let claim = jobs[0].token.claim;
        ensure_eq!(&kit.leases(worker, claim).await?, jobs, "the leases of a claim");
        let other = if worker == first { second } else { first };
        ensure_eq!(kit.leases(other, claim).await?, [], "the leases of another worker's claim");
    }
    kit.settle_one(claims[2][1].token, complete()).await?;
    let left = kit.leases(first, claims[2][0].token.claim).await?;
    ensure_eq!(
        left,
        [claims[2][0].clone(), claims[2][2].clone()],
        "the leases of the claim without the settled one"
    );
    Ok(())
}

/// A worker is lost with five leases. No lease may name it afterwards, and a worker that registers
/// later must hold none.
async fn q03_a_lost_worker_keeps_no_lease(kit: &Kit) -> CaseResult {
    let lost = kit.worker().await?;
    kit.insert((0..5).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(lost, 5).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    ensure_eq!(kit.leases(lost, held[0].token.claim).await?, [], "the leases of the lost worker");
    let next = kit.worker().await?;
    ensure_eq!(kit.heartbeat(next).await?.leases, 0, "the number of leases of a new worker");
    let rows = kit.stored().await?.live;
    ensure!(rows.iter().all(|row| row.worker.is_none()), "rows that still name a worker: {rows:?}");
    Ok(())
}

/// A claim with a large limit covers several priorities, and some of the jobs are promoted by it.
/// Each job must be returned once.
async fn q03_a_claim_brings_no_job_twice(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let soon = kit.now().saturating_add(Duration::from_secs(5));
    let spec = |index: i16| {
        let spec = kit.spec("job").priority(index % 3);
        if index % 2 == 0 { spec.run_at(soon) } else { spec }
    };
    let jobs = kit.insert((0..30).map(spec).collect()).await?;
    kit.advance(Duration::from_secs(5));
    let mut seen: Vec<JobId> = kit.claim(worker, 1000).await?.iter().map(|job| job.token.job).collect();
    seen.sort();
    ensure_eq!(seen, jobs, "the jobs of the first claim");
    ensure_eq!(kit.claim(worker, 1000).await?, [], "the second claim");
    Ok(())
}

/// The claim names a kind several times. Each job must still be returned once, because a backend
/// may query each kind separately.
async fn q03_a_kind_named_twice_brings_no_job_twice(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let specs = ["a", "b", "a", "b"].map(|kind| kit.spec(kind));
    let jobs = kit.insert(specs.to_vec()).await?;
    for limit in [2, 9] {
        let claimed = kit.claiming(worker, limit).kinds(&["a", "b", "a", "a"]).take().await?.jobs;
        let claimed: Vec<JobId> = claimed.iter().map(|job| job.token.job).collect();
        let expected = if limit == 2 { &jobs[..2] } else { &jobs[2..] };
        ensure_eq!(claimed, expected, "the jobs of a claim of at most {limit}");
    }
    ensure_eq!(kit.heartbeat(worker).await?.leases, 4, "the number of leases of the worker");
    Ok(())
}
