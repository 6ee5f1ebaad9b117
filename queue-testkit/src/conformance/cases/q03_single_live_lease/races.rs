//! Q3: at most one live lease per job under concurrent claims and rescues.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::{Settled, Verdict};
use queue_core::{Enqueuer as _, JobId, JobState, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, new_job, stop};
use crate::conformance::race::{RepeatedRace, Winner, race};
use crate::conformance::session::{EXPIRY, Inserted, Session, complete, release, retry, snooze};

cases! {
    Race q03_sixteen_claimers_share_no_job,
    Race q03_leases_that_are_given_back_never_overlap,
    Race q03_rescues_at_the_same_time_take_each_lease_once,
    Race q03_a_rescue_and_the_holder_agree_who_has_the_job,
    Race q03_a_claim_that_races_the_rescue_of_its_worker_leaves_no_lease,
    Race q03_workers_on_one_storage_run_each_job_once,
    Race q03_claims_with_inserts_and_others_share_no_job [InsertAndClaim],
}

/// The number of claims or inserts per task.
const TURNS: usize = 60;

/// Sixteen workers claim concurrently with different limits. Each job must be in exactly one claim.
async fn q03_sixteen_claimers_share_no_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let jobs = kit.insert((0..400).map(|index| kit.spec("job").priority(index % 3)).collect()).await?;
    let mut tasks = Vec::new();
    for task in 0..16_u32 {
        let handle = Arc::clone(&handles[usize::try_from(task % 2)?]);
        let worker = kit.worker().await?;
        tasks.push(async move {
            let mut mine = Vec::new();
            loop {
                let reply = handle.claiming(worker, 1 + task % 7).take().await?;
                mine.extend(reply.jobs.iter().map(|job| job.token.job));
                if reply.jobs.is_empty() {
                    return anyhow::Ok(mine);
                }
            }
        });
    }
    let mut seen: Vec<JobId> = race(tasks).await?.concat();
    seen.sort();
    ensure_eq!(seen, jobs, "the jobs of all claims together");
    Ok(())
}

/// Eight tasks over two handles claim the same jobs repeatedly and settle them with each verdict.
/// The history check must find no two leases of one job at the same time.
async fn q03_leases_that_are_given_back_never_overlap(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    kit.insert((0..24).map(|_| kit.spec("job").max_retries(500)).collect()).await?;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let handle = Arc::clone(&handles[task % 2]);
        let worker = kit.worker().await?;
        tasks.push(async move {
            for turn in 0..8 {
                let end = [release(), snooze(0), retry("failed", 0), complete()][(task + turn) % 4].clone();
                hold_briefly(&handle, worker, end).await?;
            }
            Ok(())
        });
    }
    race(tasks).await?;
    Ok(())
}

async fn hold_briefly(handle: &Session, worker: WorkerId, end: Verdict) -> CaseResult {
    let jobs = handle.claim(worker, 2).await?;
    tokio::task::yield_now().await;
    for job in jobs {
        let answer = handle.settle_one(job.token, end.clone()).await?;
        ensure_eq!(answer, Settled::Done, "the reply to a settle of a lease that no rescue could take");
    }
    Ok(())
}

/// Six rescues with small limits take the leases of two lost workers concurrently. Each lease must
/// be rescued once, each worker lost once, and each loss recorded once.
async fn q03_rescues_at_the_same_time_take_each_lease_once(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let jobs = kit.insert((0..60).map(|_| kit.spec("job")).collect()).await?;
    for _ in 0..2 {
        kit.claim(kit.worker().await?, 30).await?;
    }
    kit.advance(EXPIRY);
    let rescuer = |task: usize| {
        let handle = Arc::clone(&handles[task % 2]);
        async move {
            let mut sum = (0, 0);
            for _ in 0..4 {
                let reply = handle.rescue(5).await?;
                sum = (sum.0 + reply.rescued, sum.1 + reply.workers_lost);
            }
            anyhow::Ok(sum)
        }
    };
    let sums = race((0..6).map(rescuer).collect()).await?;
    let mut rescued: u64 = sums.iter().map(|sum| sum.0).sum();
    let workers: u64 = sums.iter().map(|sum| sum.1).sum();
    rescued += kit.rescue(100).await?.rescued;
    ensure_eq!((rescued, workers), (60, 2), "the numbers of leases rescued and of workers lost");
    for job in jobs {
        let record = kit.record(job).await?;
        let seen = (record.state, record.attempt, record.errors.len());
        ensure_eq!(seen, (JobState::Ready, 1, 1), "the state, attempt and number of errors of job {job}");
    }
    Ok(())
}

/// The holder settles at the moment of its expiry, while another handle rescues. Exactly one of
/// them must win.
async fn q03_a_rescue_and_the_holder_agree_who_has_the_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(kit.worker().await?).await?.token;
        kit.advance(EXPIRY);
        let (holder, rescuer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let settle = async move { holder.settle_one(token, complete()).await };
        let rescue = async move { Ok(rescuer.rescue(10).await?.rescued) };
        let (settled, rescued) = duels.run_round(settle, rescue).await?;
        let record = kit.record(id).await?;
        match settled {
            Settled::Done => {
                ensure_eq!(
                    (rescued, record.state),
                    (0, JobState::Completed),
                    "the jobs rescued and the state in round {round}, where the settle won"
                );
                duels.won(Winner::First);
            }
            _ => {
                ensure_eq!(
                    (rescued, record.state),
                    (1, JobState::Ready),
                    "the jobs rescued and the state in round {round}, where the rescue won"
                );
                kit.cancel(id).await?;
                duels.won(Winner::Second);
            }
        }
    }
    Ok(())
}

/// A worker claims while another handle rescues it. In either order the worker must be lost and
/// hold no lease, and no job may be missing.
async fn q03_a_claim_that_races_the_rescue_of_its_worker_leaves_no_lease(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let jobs = kit.insert((0..5).map(|_| kit.spec("job").max_retries(1000)).collect()).await?;
    let mut duels = RepeatedRace::default();
    while let Some(round) = duels.next_round()? {
        let worker = kit.worker().await?;
        kit.advance(EXPIRY);
        let (claimer, rescuer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let claim = async move { claimer.claiming(worker, 5).attempt().await };
        let rescue = async move { rescuer.rescue(10).await };
        let (claim, first) = duels.run_round(claim, rescue).await?;
        // The first rescue may skip a worker whose claim is in progress; the second must not.
        let second = kit.rescue(10).await?;
        let lost = first.workers_lost + second.workers_lost;
        ensure_eq!(lost, 1, "the number of workers lost in round {round} (the claim: {claim:?})");
        // The rescue that marks a worker lost takes all its leases; a lost worker gets no new one.
        ensure!(
            first.workers_lost == 0 || second.rescued == 0,
            "round {round}: a lost worker has claimed {} jobs",
            second.rescued
        );
        let rows = kit.stored().await?.live;
        ensure!(rows.len() == jobs.len(), "round {round}: {} jobs are left of 5", rows.len());
        ensure!(
            rows.iter().all(|row| row.worker.is_none()),
            "round {round}: a lost worker still holds {rows:?}"
        );
        duels.won(if claim.is_ok() { Winner::First } else { Winner::Second });
    }
    Ok(())
}

/// Two workers of the runtime, on separate handles, share 300 jobs. Each job must start once.
async fn q03_workers_on_one_storage_run_each_job_once(kit: &Kit) -> CaseResult {
    let mut programs = Vec::new();
    for handle in kit.handles(2).await? {
        let mut program = Program::new(&handle)?;
        program.on("job", |_, _| async { Ok(()) })?;
        programs.push(program);
    }
    let workers = [programs[0].start(4)?, programs[1].start(4)?];
    let jobs = (0..300).map(|_| new_job("job", "{}")).collect::<queue_core::Result<_>>()?;
    let submitted = programs[0].queue.submit(jobs).await?;
    let ids: Vec<JobId> = submitted.iter().map(|job| job.id).collect();
    programs[1].ended(&ids).await?;
    for worker in workers {
        stop(worker).await?;
    }
    let mut started = Vec::new();
    for program in &mut programs {
        started.extend(program.starts_so_far());
    }
    started.sort();
    ensure_eq!(started, ids, "the jobs that were started, with repetitions");
    Ok(())
}

/// Tasks insert with a claim, insert without one, or only claim. Each job must be leased once.
async fn q03_claims_with_inserts_and_others_share_no_job(kit: &Kit) -> CaseResult {
    kit.knows_kind(&"job".parse()?);
    let handles = kit.handles(2).await?;
    let mut tasks = Vec::new();
    for task in 0..6 {
        let handle = Arc::clone(&handles[task % 2]);
        let worker = kit.worker().await?;
        tasks.push(async move {
            if task < 2 {
                claim_only(&handle, worker).await
            } else {
                insert_and_claim(&handle, worker, task).await
            }
        });
    }
    let mut seen = race(tasks).await?.concat();
    seen.extend(kit.claim(kit.worker().await?, 500).await?.iter().map(|job| job.token.job));
    ensure_eq!(seen.len(), 4 * TURNS, "the number of leases");
    ensure_eq!(
        seen.into_iter().collect::<BTreeSet<_>>().len(),
        4 * TURNS,
        "the number of distinct jobs that were leased"
    );
    Ok(())
}

async fn claim_only(handle: &Session, worker: WorkerId) -> anyhow::Result<Vec<JobId>> {
    let mut mine = Vec::new();
    for _ in 0..TURNS {
        mine.extend(handle.claim(worker, 2).await?.iter().map(|job| job.token.job));
    }
    Ok(mine)
}

async fn insert_and_claim(handle: &Session, worker: WorkerId, task: usize) -> anyhow::Result<Vec<JobId>> {
    let mut mine = Vec::new();
    for turn in 0..TURNS {
        if (task + turn).is_multiple_of(3) {
            handle.insert_one(handle.spec("job")).await?;
            continue;
        }
        match handle.claiming(worker, 2).with_insert(vec![handle.spec("job")]).await? {
            Inserted::Declined => drop(handle.insert_one(handle.spec("job")).await?),
            Inserted::Done(jobs, claim) => {
                jobs?;
                if let Some(claim) = claim {
                    mine.extend(claim?.jobs.iter().map(|job| job.token.job));
                }
            }
        }
    }
    Ok(mine)
}
