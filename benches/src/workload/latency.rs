//! Measures the time from the enqueue call to the start of the handler, on an idle queue.

use std::time::SystemTime;

use anyhow::Result;
use indicatif::ProgressBar;
use queue::runtime::DEFAULT_SLOTS;
use tokio::time::sleep;

use super::Measured;
use super::child::Child;
use super::parcel::Parcel;
use super::probe::{Probe, WARM_UP, elapsed};
use super::store::Store;
use crate::plan::{PAUSE, Plan};
use crate::progress;
use crate::samples::{Percentiles, rounded};

/// Measures in this process, and across two processes if another process can reach the store.
pub(super) async fn measure(plan: &Plan, store: &Store) -> Result<Measured> {
    let bar = progress::bar("latency in one process", WARM_UP + plan.jobs)?;
    let here = rounds(plan, Probe::here(store)?, &bar).await?;
    let mut measured =
        Measured::new(here.p50).setting("slots", DEFAULT_SLOTS).setting("p99_us", rounded(here.p99));
    if let Some(address) = &store.address {
        bar.reset();
        bar.set_message("latency across two processes");
        let child = Child::start(plan.backend, address).await?;
        let across = rounds(plan, Probe::across(store, child)?, &bar).await?;
        measured = measured
            .setting("two_processes_p50_us", rounded(across.p50))
            .setting("two_processes_p99_us", rounded(across.p99));
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// Runs jobs one after the other, each on an idle queue.
async fn rounds(plan: &Plan, mut probe: Probe, bar: &ProgressBar) -> Result<Percentiles> {
    let mut samples = Vec::with_capacity(WARM_UP + plan.jobs);
    for number in 0..WARM_UP + plan.jobs {
        let parcel = Parcel::new(number, plan.payload_bytes);
        let before = SystemTime::now();
        probe.enqueue(&parcel).await?;
        samples.push(elapsed(before, probe.start_of(number).await?)?);
        bar.inc(1);
        sleep(PAUSE).await;
    }
    probe.end().await?;
    Ok(Percentiles::of(samples.split_off(WARM_UP)))
}
