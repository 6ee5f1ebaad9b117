//! Measures the time from the enqueue call to the awaited result, on an idle queue.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use queue::runtime::DEFAULT_SLOTS;
use tokio::time::{sleep, timeout};

use super::Measured;
use super::child::Child;
use super::parcel::Parcel;
use super::probe::{LOST, Probe, WARM_UP, elapsed};
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
    let here = rounds(plan, Probe::here(store)?, &bar).await?;
    let mut measured = Measured::new(here.reply.p50)
        .setting("slots", DEFAULT_SLOTS)
        .setting("p99_us", rounded(here.reply.p99))
        .setting("start_p50_us", rounded(here.start.p50));
    if let Some(address) = &store.address {
        bar.reset();
        bar.set_message("request and reply across two processes");
        let child = Child::start(plan.backend, address).await?;
        let across = rounds(plan, Probe::across(store, child)?, &bar).await?;
        measured = measured
            .setting("two_processes_p50_us", rounded(across.reply.p50))
            .setting("two_processes_p99_us", rounded(across.reply.p99))
            .setting("two_processes_start_p50_us", rounded(across.start.p50));
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// Runs jobs one after the other, each on an idle queue.
async fn rounds(plan: &Plan, mut probe: Probe, bar: &ProgressBar) -> Result<Times> {
    let (mut started, mut replied) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + plan.jobs {
        let parcel = Parcel::new(number, plan.payload_bytes);
        let before = SystemTime::now();
        let id = probe.enqueue(&parcel).await?;
        timeout(LOST, probe.queue.result::<()>(id))
            .await
            .with_context(|| format!("job {number} has no result"))??;
        replied.push(elapsed(before, SystemTime::now())?);
        started.push(elapsed(before, probe.start_of(number).await?)?);
        bar.inc(1);
        sleep(PAUSE).await;
    }
    probe.end().await?;
    let of = |mut samples: Vec<_>| Percentiles::of(samples.split_off(WARM_UP));
    Ok(Times { start: of(started), reply: of(replied) })
}
