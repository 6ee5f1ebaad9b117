//! Measures the time from the enqueue call to the awaited result, on an idle queue.

use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use queue::runtime::DEFAULT_SLOTS;
use queue::{JobQueue, TaskHandle, Worker};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::Measured;
use super::child::Child;
use super::latency::{LOST, WARM_UP};
use super::parcel::{Parcel, Start, task};
use super::store::Store;
use crate::plan::{PAUSE, Plan};
use crate::progress;
use crate::samples::{Percentiles, rounded};

/// The times from before the enqueue call.
struct Times {
    start: Percentiles,
    reply: Percentiles,
}

/// Measures in this process, and with a worker in another process if that can reach the store.
pub(super) async fn measure(plan: &Plan, store: &Store) -> Result<Measured> {
    let bar = progress::bar("request and reply in one process", WARM_UP + plan.jobs)?;
    let here = in_one_process(plan, store, &bar).await?;
    let mut measured = Measured::new(here.reply.p50)
        .setting("slots", DEFAULT_SLOTS)
        .setting("p99_us", rounded(here.reply.p99))
        .setting("start_p50_us", rounded(here.start.p50));
    if let Some(address) = &store.address {
        bar.reset();
        bar.set_message("request and reply across two processes");
        let across = across_two(plan, store, Child::start(plan.backend, address).await?, &bar).await?;
        measured = measured
            .setting("two_processes_p50_us", rounded(across.reply.p50))
            .setting("two_processes_p99_us", rounded(across.reply.p99))
            .setting("two_processes_start_p50_us", rounded(across.start.p50));
    }
    bar.finish_and_clear();
    Ok(measured)
}

async fn in_one_process(plan: &Plan, store: &Store, bar: &ProgressBar) -> Result<Times> {
    let (started, mut starts) = unbounded_channel();
    let mut queue = JobQueue::new(store.backend.clone());
    let handle = task(move |_, parcel: Parcel| {
        let start: Start = (parcel.number, SystemTime::now());
        let sent = started.send(start);
        async move { sent.map_err(Into::into) }
    })
    .register(&mut queue)?;
    let worker = Worker::new(&queue).start()?;
    let times = rounds(plan, &queue, &handle, &mut starts, bar).await;
    worker.shutdown(LOST).await;
    times
}

async fn across_two(plan: &Plan, store: &Store, mut child: Child, bar: &ProgressBar) -> Result<Times> {
    let mut queue = JobQueue::new(store.backend.clone());
    let handle = task(|_, _| async { Ok(()) }).register(&mut queue)?;
    let times = rounds(plan, &queue, &handle, &mut child.starts, bar).await;
    child.stop().await?;
    times
}

/// Runs jobs one after the other, each on an idle queue.
async fn rounds(
    plan: &Plan,
    queue: &JobQueue,
    handle: &TaskHandle<Parcel>,
    starts: &mut UnboundedReceiver<Start>,
    bar: &ProgressBar,
) -> Result<Times> {
    let (mut started, mut replied) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + plan.jobs {
        let parcel = Parcel::new(number, plan.payload_bytes);
        let before = SystemTime::now();
        let id = handle.enqueue(&parcel).await?;
        timeout(LOST, queue.result::<()>(id))
            .await
            .with_context(|| format!("job {number} has no result"))??;
        let after = SystemTime::now();
        let (which, at) = starts.recv().await.context("the worker has ended")?;
        ensure!(which == number, "job {which} started in place of job {number}");
        started.push(at.duration_since(before).context("the clock went back; measure again")?);
        replied.push(after.duration_since(before).context("the clock went back; measure again")?);
        bar.inc(1);
        sleep(PAUSE).await;
    }
    let of = |mut samples: Vec<_>| Percentiles::of(samples.split_off(WARM_UP));
    Ok(Times { start: of(started), reply: of(replied) })
}
