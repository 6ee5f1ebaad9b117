//! Measures jobs per second in batches.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use serde_json::{Map, Value};

use super::Floor;
use super::side_by_side::side_by_side;
use super::store::{Claim, NewJob, Store, jobs};
use crate::plan::Plan;
use crate::progress;
use crate::samples::rate;

/// The fastest of several batch sizes and numbers of connections, each on a new store.
pub(super) fn fastest<S: Store>(
    plan: &Plan,
    batches: [usize; 4],
    connections: &[usize],
    create: impl Fn(usize) -> Result<Vec<S>>,
    run: impl Fn(&mut [S], &[NewJob], usize, &ProgressBar) -> Result<Duration>,
) -> Result<Floor> {
    let jobs = jobs(plan.jobs, plan.payload_bytes);
    let bar = progress::bar("floor", batches.len() * connections.len() * plan.jobs)?;
    let mut best = Floor { value: 0.0, settings: Map::new() };
    for &connections in connections {
        for batch in batches {
            bar.set_message(format!("floor: batches of {batch}"));
            let mut stores = create(connections)?;
            let value = rate(jobs.len(), run(&mut stores, &jobs, batch, &bar)?);
            if value > best.value {
                best = Floor { value, settings: settings(&stores, batch, jobs.len())? };
            }
        }
    }
    bar.finish_and_clear();
    Ok(best)
}

fn settings<S: Store>(stores: &[S], batch: usize, jobs: usize) -> Result<Map<String, Value>> {
    let store = stores.first().context("the floor has no store")?;
    let mut settings = Map::from_iter([("floor_batch".to_owned(), Value::from(batch))]);
    if let Some(logged) = store.logged()? {
        settings.extend(logged.settings("floor_", jobs)?);
    }
    settings.extend(store.settings());
    Ok(settings)
}

/// Inserts all jobs.
pub(super) fn enqueue<S: Store>(
    stores: &mut [S],
    jobs: &[NewJob],
    batch: usize,
    bar: &ProgressBar,
) -> Result<Duration> {
    let connections = stores.len();
    let start = Instant::now();
    side_by_side(stores, |number, store| {
        for some in jobs.chunks(batch).skip(number).step_by(connections) {
            store.insert(some)?;
            bar.inc(u64::try_from(some.len())?);
        }
        Ok(())
    })?;
    Ok(start.elapsed())
}

/// Inserts all jobs, then measures claims and settles.
pub(super) fn drain<S: Store>(
    stores: &mut [S],
    jobs: &[NewJob],
    batch: usize,
    bar: &ProgressBar,
) -> Result<Duration> {
    enqueue(stores, jobs, batch, &ProgressBar::hidden())?;
    let start = Instant::now();
    let read = side_by_side(stores, |_, store| drain_one(store, batch, bar))?;
    let took = start.elapsed();
    let finished = stores.first().context("the floor has no store")?.outcomes()?;
    ensure!(finished == jobs.len(), "the floor finished {finished} of {} jobs", jobs.len());
    let read: usize = read.into_iter().sum();
    let expected: usize = jobs.iter().map(|job| job.payload.len()).sum();
    ensure!(read == expected, "the floor read {read} bytes of payload, not {expected}");
    Ok(took)
}

/// Claims and settles until the queue is empty. Returns the number of payload bytes read.
fn drain_one<S: Store>(store: &mut S, batch: usize, bar: &ProgressBar) -> Result<usize> {
    let mut payload_bytes = 0;
    let mut running = Claim::empty();
    loop {
        running = store.turn(&running, batch)?;
        if running.keys.is_empty() {
            return Ok(payload_bytes);
        }
        payload_bytes += running.payload_bytes;
        bar.inc(u64::try_from(running.keys.len())?);
    }
}
