//! Q3: at most one live lease a job, however many reach for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::{Settled, Verdict};
use queue_core::{Enqueuer as _, JobId, State, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::program::{Program, new_job, stop};
use crate::conformance::race::{Duels, Winner, race};
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

/// How often each task of a race claims or inserts.
const TURNS: usize = 60;

/// In batches of different sizes: every job is in one claim.
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

/// Eight tasks over two handles take a few jobs again and again, and give them back in every way. That no two
/// of them hold one job at the same time is what the history shows.
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
        ensure_eq!(answer, Settled::Done, "the settle of a lease that nobody could take");
    }
    Ok(())
}

/// The leases of two dead workers, taken by six rescues with small limits: every lease is taken by one
/// of them, every worker given up by one, and every loss recorded once.
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
    ensure_eq!((rescued, workers), (60, 2), "leases taken back, and workers given up");
    for job in jobs {
        let record = kit.record(job).await?;
        let seen = (record.state, record.attempt, record.errors.len());
        ensure_eq!(seen, (State::Ready, 1, 1), "state, attempt and losses of job {job}");
    }
    Ok(())
}

/// The holder settles at the moment of its expiry: either it was in time, or the job is another's.
async fn q03_a_rescue_and_the_holder_agree_who_has_the_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let mut duels = Duels::default();
    while let Some(round) = duels.next_round()? {
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(kit.worker().await?).await?.token;
        kit.advance(EXPIRY);
        let (holder, rescuer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let settle = async move { holder.settle_one(token, complete()).await };
        let rescue = async move { Ok(rescuer.rescue(10).await?.rescued) };
        let (settled, rescued) = duels.fight(settle, rescue).await?;
        let record = kit.record(id).await?;
        match settled {
            Settled::Done => {
                ensure_eq!((rescued, record.state), (0, State::Completed), "round {round}, the holder won");
                duels.won(Winner::First);
            }
            _ => {
                ensure_eq!((rescued, record.state), (1, State::Ready), "round {round}, the rescue won");
                kit.cancel(id).await?;
                duels.won(Winner::Second);
            }
        }
    }
    Ok(())
}

/// Whichever comes first: afterwards the worker is lost and holds nothing, and nothing is missing.
async fn q03_a_claim_that_races_the_rescue_of_its_worker_leaves_no_lease(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let jobs = kit.insert((0..5).map(|_| kit.spec("job").max_retries(1000)).collect()).await?;
    let mut duels = Duels::default();
    while let Some(round) = duels.next_round()? {
        let worker = kit.worker().await?;
        kit.advance(EXPIRY);
        let (claimer, rescuer) = (Arc::clone(&handles[0]), Arc::clone(&handles[1]));
        let claim = async move { claimer.claiming(worker, 5).attempt().await };
        let rescue = async move { Ok(rescuer.rescue(10).await?.workers_lost) };
        let (claim, lost) = duels.fight(claim, rescue).await?;
        // A rescue may pass over a worker whose claim it meets; the next one may not.
        let lost = lost + kit.rescue(10).await?.workers_lost;
        ensure_eq!(lost, 1, "round {round}, workers given up (the claim: {claim:?})");
        let rows = kit.stored().await?.live;
        ensure!(rows.len() == jobs.len(), "round {round}: {} jobs are left", rows.len());
        ensure!(rows.iter().all(|row| row.worker.is_none()), "round {round}: a lost worker holds {rows:?}");
        duels.won(if claim.is_ok() { Winner::First } else { Winner::Second });
    }
    Ok(())
}

/// Two workers of the runtime, each on a handle of its own, and 300 jobs.
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
    ensure_eq!(started, ids, "the jobs that were started, each as often as it was");
    Ok(())
}

/// Some tasks insert jobs with a claim, some without, and some only claim.
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
    ensure_eq!(seen.len(), 4 * TURNS, "leases");
    ensure_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 4 * TURNS, "jobs that were leased");
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
