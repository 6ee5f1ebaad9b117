//! Measures jobs enqueued per second.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use queue::{JobQueue, TaskHandle};
use tokio::task::JoinSet;

use super::Measured;
use super::parcel::{Parcel, task};
use super::store::Store;
use crate::plan::Plan;
use crate::progress;
use crate::samples::rate;

/// Jobs per atomic batch.
const BATCH: usize = 1000;
/// Tasks that enqueue batches: the maximum number of connections of the floor.
const BATCH_CALLERS: usize = 2;
/// Tasks that enqueue single jobs.
const CALLERS: usize = 64;

/// Enqueues atomic batches.
pub(super) async fn batches(plan: &Plan, store: &Store) -> Result<Measured> {
    let bar = progress::bar("enqueue", plan.jobs)?;
    let took = fill(plan, &handle(store)?, &bar).await?;
    bar.finish_and_clear();
    Ok(Measured::new(rate(plan.jobs, took)).setting("batch", BATCH).setting("callers", BATCH_CALLERS))
}

/// Enqueues all jobs in batches. Returns the duration.
pub(super) async fn fill(plan: &Plan, handle: &TaskHandle<Parcel>, bar: &ProgressBar) -> Result<Duration> {
    let parcels: Vec<Parcel> = (0..plan.jobs).map(|number| Parcel::new(number, plan.payload_bytes)).collect();
    let mut work = vec![Vec::new(); BATCH_CALLERS];
    for (number, batch) in parcels.chunks(BATCH).enumerate() {
        work[number % BATCH_CALLERS].push(batch.to_vec());
    }
    let mut callers = JoinSet::new();
    let start = Instant::now();
    for batches in work {
        let (handle, bar) = (handle.clone(), bar.clone());
        callers.spawn(async move {
            for batch in batches {
                handle.enqueue_batch(&batch).await?;
                bar.inc(u64::try_from(batch.len()).unwrap_or_default());
            }
            Ok::<(), queue::Error>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(start.elapsed())
}

/// Enqueues one job per call from many callers.
pub(super) async fn singles(plan: &Plan, store: &Store) -> Result<Measured> {
    let bar = progress::bar("enqueue", plan.jobs)?;
    let handle = handle(store)?;
    let mut callers = JoinSet::new();
    let start = Instant::now();
    for caller in 0..CALLERS {
        let numbers = (caller..plan.jobs).step_by(CALLERS);
        let (handle, bar, bytes) = (handle.clone(), bar.clone(), plan.payload_bytes);
        callers.spawn(async move {
            for number in numbers {
                handle.enqueue(&Parcel::new(number, bytes)).await?;
                bar.inc(1);
            }
            Ok::<(), queue::Error>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let took = start.elapsed();
    bar.finish_and_clear();
    Ok(Measured::new(rate(plan.jobs, took)).setting("callers", CALLERS))
}

/// A handle that enqueues; no worker serves the store.
fn handle(store: &Store) -> Result<TaskHandle<Parcel>> {
    let mut queue = JobQueue::new(store.backend.clone());
    Ok(task(|_, _| async { Ok(()) }).register(&mut queue)?)
}
