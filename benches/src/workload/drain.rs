//! Measures jobs finished per second from a full queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use queue::runtime::DEFAULT_SLOTS;
use queue::{JobQueue, Worker};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::parcel::{Parcel, task};
use super::store::Store;
use super::{Measured, enqueue};
use crate::plan::Plan;
use crate::progress;
use crate::samples::rate;

/// Interval between two updates of the progress bar.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);
/// Timeout of the wait for the next start of a handler.
const STALLED: Duration = Duration::from_secs(60);

/// The jobs that the handlers got.
#[derive(Debug, Default)]
struct Seen {
    jobs: AtomicUsize,
    checksum: AtomicU64,
    all: Notify,
}

/// The durations of the two halves of a round.
#[derive(Debug)]
pub(super) struct Took {
    pub(super) enqueue: Duration,
    /// From the start of a worker on a full queue to its shutdown with all jobs settled.
    pub(super) drain: Duration,
}

/// The drain of one round.
pub(super) async fn measure(plan: &Plan, store: &Store) -> Result<Measured> {
    let took = round(plan, store).await?;
    Ok(Measured::new(rate(plan.jobs, took.drain)).setting("slots", DEFAULT_SLOTS))
}

/// Enqueues all jobs, then drains the queue with a new worker.
pub(super) async fn round(plan: &Plan, store: &Store) -> Result<Took> {
    let seen = Arc::new(Seen::default());
    let mut queue = JobQueue::new(store.backend.clone());
    let handle = counting(&seen, plan.jobs).register(&mut queue)?;
    let bar = progress::bar("fill the queue", plan.jobs)?;
    let enqueue = enqueue::fill(plan, &handle, &bar).await?;

    bar.set_position(0);
    bar.set_message("drain");
    let start = Instant::now();
    let worker = Worker::new(&queue).start()?;
    let watched = watch(&seen, plan.jobs, &bar).await;
    worker.shutdown(STALLED).await;
    let drain = start.elapsed();
    bar.finish_and_clear();

    watched?;
    ensure_same(plan, &seen)?;
    Ok(Took { enqueue, drain })
}

/// A task whose handler only counts its jobs and their payloads.
fn counting(seen: &Arc<Seen>, jobs: usize) -> queue::TaskDefinition<Parcel> {
    let seen = Arc::clone(seen);
    task(move |_, parcel| {
        seen.checksum.fetch_add(parcel.checksum(), Ordering::Relaxed);
        if seen.jobs.fetch_add(1, Ordering::Relaxed) + 1 == jobs {
            seen.all.notify_one();
        }
        async { Ok(()) }
    })
}

/// Waits until every job has started.
async fn watch(seen: &Seen, jobs: usize, bar: &ProgressBar) -> Result<()> {
    let mut last = (0, Instant::now());
    while timeout(UPDATE_INTERVAL, seen.all.notified()).await.is_err() {
        let started = seen.jobs.load(Ordering::Relaxed);
        bar.set_position(u64::try_from(started)?);
        if started > last.0 {
            last = (started, Instant::now());
        }
        ensure!(last.1.elapsed() < STALLED, "{started} of {jobs} jobs started, then none for {STALLED:?}");
    }
    Ok(())
}

/// Checks that the handlers got each enqueued payload once.
fn ensure_same(plan: &Plan, seen: &Seen) -> Result<()> {
    let started = seen.jobs.load(Ordering::Relaxed);
    ensure!(started == plan.jobs, "{started} attempts were started for {} jobs", plan.jobs);
    let sum = |sum: u64, number| sum.wrapping_add(Parcel::new(number, plan.payload_bytes).checksum());
    let enqueued = (0..plan.jobs).fold(0, sum);
    let handled = seen.checksum.load(Ordering::Relaxed);
    ensure!(handled == enqueued, "the handlers got other payloads than those enqueued");
    Ok(())
}
