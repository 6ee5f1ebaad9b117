//! Jobs a second, in batches.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use serde_json::{Map, Value};

use super::Floor;
use super::store::{Claim, NewJob, Store, jobs};
use crate::plan::Plan;
use crate::progress;
use crate::samples::rate;

/// The fastest of several batch sizes, each on a fresh store.
pub(super) fn fastest<S: Store>(
    plan: &Plan,
    batches: [usize; 4],
    create: impl Fn() -> Result<S>,
    run: impl Fn(&mut S, &[NewJob], usize, &ProgressBar) -> Result<Duration>,
) -> Result<Floor> {
    let jobs = jobs(plan.jobs, plan.payload_bytes);
    let bar = progress::bar("floor", batches.len() * plan.jobs)?;
    let mut best = (0.0, 0);
    for batch in batches {
        bar.set_message(format!("floor: batches of {batch}"));
        let reached = rate(jobs.len(), run(&mut create()?, &jobs, batch, &bar)?);
        if reached > best.0 {
            best = (reached, batch);
        }
    }
    bar.finish_and_clear();
    let settings = Map::from_iter([("floor_batch".to_owned(), Value::from(best.1))]);
    Ok(Floor { value: best.0, settings })
}

/// Stores all jobs.
pub(super) fn enqueue<S: Store>(
    store: &mut S,
    jobs: &[NewJob],
    batch: usize,
    bar: &ProgressBar,
) -> Result<Duration> {
    let start = Instant::now();
    for some in jobs.chunks(batch) {
        store.insert(some)?;
        bar.inc(u64::try_from(some.len())?);
    }
    Ok(start.elapsed())
}

/// Stores all jobs, then claims and settles them; only the latter counts.
pub(super) fn drain<S: Store>(
    store: &mut S,
    jobs: &[NewJob],
    batch: usize,
    bar: &ProgressBar,
) -> Result<Duration> {
    enqueue(store, jobs, batch, &ProgressBar::hidden())?;
    let mut payload_bytes = 0;
    let start = Instant::now();
    let mut running = Claim::of_none();
    loop {
        running = store.turn(&running, batch)?;
        payload_bytes += running.payload_bytes;
        bar.inc(u64::try_from(running.keys.len())?);
        if running.keys.is_empty() {
            break;
        }
    }
    let took = start.elapsed();
    ensure!(
        store.outcomes()? == jobs.len(),
        "the floor finished {} of {} jobs",
        store.outcomes()?,
        jobs.len()
    );
    let expected: usize = jobs.iter().map(|job| job.payload.len()).sum();
    ensure!(payload_bytes == expected, "the floor read {payload_bytes} bytes of payload, not {expected}");
    Ok(took)
}
