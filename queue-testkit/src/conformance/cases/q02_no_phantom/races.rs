//! Q2: refused batches run nothing while workers drain the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use queue_core::{ErrorKind, JobId, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{Session, complete};

cases! {
    Race q02_refused_batches_run_nothing_while_others_are_drained,
}

/// Four tasks enqueue good and bad batches in turn while four tasks drain. Exactly the acknowledged
/// jobs must run.
async fn q02_refused_batches_run_nothing_while_others_are_drained(kit: &Kit) -> CaseResult {
    const ENQUEUERS: usize = 4;
    let handles = kit.handles(2).await?;
    let taken = kit.insert_one(kit.spec("job")).await?;
    kit.cancel(taken).await?;
    let left = Arc::new(AtomicUsize::new(ENQUEUERS));
    let mut tasks = Vec::new();
    for task in 0..2 * ENQUEUERS {
        let (handle, left, worker) = (Arc::clone(&handles[task % 2]), Arc::clone(&left), kit.worker().await?);
        tasks.push(async move {
            if task < ENQUEUERS {
                let acknowledged = enqueue_good_and_bad(&handle, taken).await;
                left.fetch_sub(1, Ordering::SeqCst);
                Ok((acknowledged?, Vec::new()))
            } else {
                Ok((Vec::new(), drain(&handle, worker, &left).await?))
            }
        });
    }
    let (acknowledged, ran): (Vec<_>, Vec<_>) = race(tasks).await?.into_iter().unzip();
    let (mut acknowledged, mut ran) = (acknowledged.concat(), ran.concat());
    acknowledged.sort();
    ran.sort();
    ensure_eq!(ran, acknowledged, "the jobs that ran");
    Ok(())
}

/// Returns the ids of the good batches.
async fn enqueue_good_and_bad(handle: &Session, taken: JobId) -> anyhow::Result<Vec<JobId>> {
    let mut acknowledged = Vec::new();
    for turn in 0..10 {
        let batch = (0..3).map(|_| handle.spec("job")).collect();
        acknowledged.extend(handle.insert(batch).await?);
        let mut bad: Vec<_> = (0..3).map(|_| handle.spec("job").priority(1)).collect();
        bad.insert(turn % 4, handle.spec("job").id(taken).payload("\"other\""));
        fails_with(handle.try_insert(bad).await?, ErrorKind::Conflict)?;
    }
    Ok(acknowledged)
}

/// Returns when all enqueuers have finished and a claim finds no job.
async fn drain(handle: &Session, worker: WorkerId, left: &AtomicUsize) -> anyhow::Result<Vec<JobId>> {
    let mut ran = Vec::new();
    loop {
        let is_over = left.load(Ordering::SeqCst) == 0;
        let jobs = handle.claim(worker, 5).await?;
        if jobs.is_empty() && is_over {
            return Ok(ran);
        }
        for job in jobs {
            handle.settle_one(job.token, complete()).await?;
            ran.push(job.token.job);
        }
        tokio::task::yield_now().await;
    }
}
