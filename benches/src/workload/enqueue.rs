//! Jobs enqueued a second.

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

/// Jobs of one atomic batch.
const BATCH: usize = 1000;
/// Tasks that enqueue one job after the other.
const CALLERS: usize = 64;

/// Atomic batches from one caller.
pub(super) async fn batches(plan: &Plan, store: &Store) -> Result<Measured> {
    let bar = progress::bar("enqueue", plan.jobs)?;
    let took = fill(plan, &handle(store)?, &bar).await?;
    bar.finish_and_clear();
    Ok(Measured::new(rate(plan.jobs, took)).setting("batch", BATCH))
}

/// Enqueues all jobs in batches, and says how long the calls took together.
pub(super) async fn fill(plan: &Plan, handle: &TaskHandle<Parcel>, bar: &ProgressBar) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for first in (0..plan.jobs).step_by(BATCH) {
        let numbers = first..plan.jobs.min(first + BATCH);
        let parcels: Vec<Parcel> = numbers.map(|number| Parcel::new(number, plan.payload_bytes)).collect();
        let start = Instant::now();
        handle.enqueue_batch(&parcels).await?;
        took += start.elapsed();
        bar.inc(u64::try_from(parcels.len())?);
    }
    Ok(took)
}

/// One job a call, from many callers at once.
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

/// Enqueues on the store; nothing serves it.
fn handle(store: &Store) -> Result<TaskHandle<Parcel>> {
    let mut queue = JobQueue::new(store.backend.clone());
    Ok(task(|_, _| async { Ok(()) }).register(&mut queue)?)
}
