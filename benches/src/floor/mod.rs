//! What a bare loop over the store reaches: the measure for everything that the queue adds.
//!
//! A floor keeps the queue's protocol. A job is stored together with the row that makes it ready; a claim takes the
//! most urgent jobs of a queue among a set of kinds, charges an attempt and leaves a random token; a settlement changes
//! a job only where it finds that token, and leaves an outcome. Each step is committed before the next one relies on it.
//!
//! What the protocol does not need is left out: no index for rescue or retention, no workers, no second connection.

mod latency;
mod memory;
mod rates;
mod sqlite;
mod store;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::cli::{BackendName, Workload};
use crate::plan::Plan;

use self::memory::MemoryStore;
use self::sqlite::SqliteStore;
use self::store::Store;

/// Batch sizes of which the fastest counts.
const BATCHES: [usize; 4] = [100, 250, 500, 1000];
/// 64 callers that wait for one job each cannot fill a larger commit.
const SHARED_COMMITS: [usize; 4] = [8, 16, 32, 64];

/// The figure to compare with.
#[derive(Debug)]
pub(crate) struct Floor {
    /// In the unit of the workload.
    pub(crate) value: f64,
    /// How it came about.
    pub(crate) settings: Map<String, Value>,
}

/// Runs the bare loop of a workload.
pub(crate) fn measure(plan: &Plan) -> Result<Floor> {
    match plan.backend {
        BackendName::Memory => measure_on(plan, || Ok(MemoryStore::new())),
        BackendName::Sqlite => measure_on(plan, || SqliteStore::create(plan.scratch()?)),
    }
}

/// Every batch size gets a fresh store from `create`.
fn measure_on<S: Store>(plan: &Plan, create: impl Fn() -> Result<S>) -> Result<Floor> {
    let mut floor = match plan.workload {
        Workload::EnqueueBatch => rates::fastest(plan, BATCHES, &create, rates::enqueue)?,
        Workload::EnqueueSingle => rates::fastest(plan, SHARED_COMMITS, &create, rates::enqueue)?,
        Workload::Drain => rates::fastest(plan, BATCHES, &create, rates::drain)?,
        Workload::Latency => latency::measure(plan, create()?)?,
    };
    floor.settings.extend(S::settings());
    Ok(floor)
}

#[cfg(test)]
mod tests;
