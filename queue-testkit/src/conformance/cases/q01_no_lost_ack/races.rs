//! Q1: concurrent inserts, claims and failures lose no job.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use queue_core::backend::Settled;
use queue_core::{JobId, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{EXPIRY, Session, complete, release, retry};

cases! {
    Race q01_what_many_insert_while_many_drain_is_all_run,
    Race q01_leases_that_fail_and_expire_at_the_same_time_lose_nothing,
}

/// The jobs that one task of a race inserted or ran.
enum Did {
    Inserted(Vec<JobId>),
    Ran(Vec<JobId>),
}

/// Six tasks insert batches while four tasks drain, over two handles. Each job must run exactly
/// once.
async fn q01_what_many_insert_while_many_drain_is_all_run(kit: &Kit) -> CaseResult {
    const INSERTERS: usize = 6;
    let handles = kit.handles(2).await?;
    kit.insert_one(kit.spec("job")).await?;
    kit.cancel(kit.stored().await?.jobs[0]).await?;
    let left = Arc::new(AtomicUsize::new(INSERTERS));
    let mut tasks = Vec::new();
    for task in 0..10 {
        let (handle, left) = (Arc::clone(&handles[task % 2]), Arc::clone(&left));
        let worker = kit.worker().await?;
        tasks.push(async move {
            if task < INSERTERS {
                let inserted = insert_batches(&handle, task).await;
                left.fetch_sub(1, Ordering::SeqCst);
                inserted.map(Did::Inserted)
            } else {
                drain(&handle, worker, &left).await.map(Did::Ran)
            }
        });
    }
    let (mut inserted, mut ran) = (Vec::new(), Vec::new());
    for did in race(tasks).await? {
        match did {
            Did::Inserted(ids) => inserted.extend(ids),
            Did::Ran(ids) => ran.extend(ids),
        }
    }
    inserted.sort();
    ran.sort();
    ensure_eq!(ran, inserted, "the jobs that ran, with repetitions, against the jobs inserted");
    Ok(())
}

async fn insert_batches(handle: &Session, task: usize) -> anyhow::Result<Vec<JobId>> {
    let mut inserted = Vec::new();
    for batch in 0..8 {
        let many = 1 + (task + batch) % 5;
        inserted.extend(handle.insert((0..many).map(|_| handle.spec("job")).collect()).await?);
    }
    Ok(inserted)
}

/// Returns when all inserters have finished and a claim finds no job.
async fn drain(handle: &Session, worker: WorkerId, left: &AtomicUsize) -> anyhow::Result<Vec<JobId>> {
    let mut ran = Vec::new();
    loop {
        let is_over = left.load(Ordering::SeqCst) == 0;
        let jobs = handle.claim(worker, 4).await?;
        if jobs.is_empty() && is_over {
            return Ok(ran);
        }
        for job in jobs {
            ensure_eq!(
                handle.settle_one(job.token, complete()).await?,
                Settled::Done,
                "the reply to a completion"
            );
            ran.push(job.token.job);
        }
        tokio::task::yield_now().await;
    }
}

/// In each round tasks claim jobs, then fail, release or abandon them, while other tasks rescue.
/// Afterwards each job must be stored and claimable.
async fn q01_leases_that_fail_and_expire_at_the_same_time_lose_nothing(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let jobs = kit.insert((0..60).map(|_| kit.spec("job").max_retries(50)).collect()).await?;
    for round in 0..6 {
        let mut tasks = Vec::new();
        for task in 0..8 {
            let handle = Arc::clone(&handles[task % 2]);
            let worker = kit.worker().await?;
            tasks.push(async move { unreliable(&handle, worker, round + task).await });
        }
        kit.advance(EXPIRY / 2);
        race(tasks).await?;
    }
    kit.advance(EXPIRY);
    while kit.rescue(7).await?.rescued > 0 {}
    let worker = kit.worker().await?;
    let left: BTreeSet<JobId> = kit.claim(worker, 100).await?.iter().map(|job| job.token.job).collect();
    ensure_eq!(left, jobs.into_iter().collect(), "the jobs that can be claimed afterwards");
    ensure!(kit.claim(worker, 1).await?.is_empty(), "a claim returned more jobs than were inserted");
    Ok(())
}

async fn unreliable(handle: &Session, worker: WorkerId, mood: usize) -> CaseResult {
    for (index, job) in handle.claim(worker, 5).await?.into_iter().enumerate() {
        match (mood + index) % 3 {
            // The worker abandons the job without a settle.
            0 => {}
            1 => drop(handle.settle_one(job.token, release()).await?),
            _ => drop(handle.settle_one(job.token, retry("failed", 0)).await?),
        }
    }
    handle.rescue(3).await?;
    Ok(())
}
