//! Measures the time from the enqueue call to the start of the handler, on an idle queue.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use queue::runtime::DEFAULT_SLOTS;
use queue::{JobQueue, TaskHandle, Worker};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::Measured;
use super::child::Child;
use super::parcel::{Parcel, Start, task};
use super::store::Store;
use crate::plan::{PAUSE, Plan};
use crate::progress;
use crate::samples::{Percentiles, rounded};

/// Rounds of warm-up, which are not counted.
pub(super) const WARM_UP: usize = 50;
/// Timeout of the wait for a start.
pub(super) const LOST: Duration = Duration::from_secs(30);

/// Measures in this process, and across two processes if another process can reach the store.
pub(super) async fn measure(plan: &Plan, store: &Store) -> Result<Measured> {
    let bar = progress::bar("latency in one process", WARM_UP + plan.jobs)?;
    let here = in_one_process(plan, store, &bar).await?;
    let mut measured =
        Measured::new(here.p50).setting("slots", DEFAULT_SLOTS).setting("p99_us", rounded(here.p99));
    if let Some(address) = &store.address {
        bar.reset();
        bar.set_message("latency across two processes");
        let across = across_two(plan, store, Child::start(plan.backend, address).await?, &bar).await?;
        measured = measured
            .setting("two_processes_p50_us", rounded(across.p50))
            .setting("two_processes_p99_us", rounded(across.p99));
    }
    bar.finish_and_clear();
    Ok(measured)
}

async fn in_one_process(plan: &Plan, store: &Store, bar: &ProgressBar) -> Result<Percentiles> {
    let (started, mut starts) = unbounded_channel();
    let mut queue = JobQueue::new(store.backend.clone());
    let handle = task(move |_, parcel: Parcel| {
        let start: Start = (parcel.number, SystemTime::now());
        let sent = started.send(start);
        async move { sent.map_err(Into::into) }
    })
    .register(&mut queue)?;
    let worker = Worker::new(&queue).start()?;
    let percentiles = rounds(plan, &handle, &mut starts, bar).await;
    worker.shutdown(LOST).await;
    percentiles
}

async fn across_two(plan: &Plan, store: &Store, mut child: Child, bar: &ProgressBar) -> Result<Percentiles> {
    let mut queue = JobQueue::new(store.backend.clone());
    let handle = task(|_, _| async { Ok(()) }).register(&mut queue)?;
    let percentiles = rounds(plan, &handle, &mut child.starts, bar).await;
    child.stop().await?;
    percentiles
}

/// Runs jobs one after the other, each on an idle queue.
async fn rounds(
    plan: &Plan,
    handle: &TaskHandle<Parcel>,
    starts: &mut UnboundedReceiver<Start>,
    bar: &ProgressBar,
) -> Result<Percentiles> {
    let mut samples = Vec::with_capacity(WARM_UP + plan.jobs);
    for number in 0..WARM_UP + plan.jobs {
        let parcel = Parcel::new(number, plan.payload_bytes);
        let before = SystemTime::now();
        handle.enqueue(&parcel).await?;
        let start =
            timeout(LOST, starts.recv()).await.with_context(|| format!("job {number} never started"))?;
        let (started, at) = start.context("the worker has ended")?;
        ensure!(started == number, "job {started} started in place of job {number}");
        samples.push(at.duration_since(before).context("the clock went back; measure again")?);
        bar.inc(1);
        sleep(PAUSE).await;
    }
    Ok(Percentiles::of(samples.split_off(WARM_UP)))
}
