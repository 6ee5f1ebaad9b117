//! What a bare loop over the store reaches: the measure for everything that the queue adds.
//!
//! A floor keeps the queue's protocol. A job is stored together with the row that makes it ready; a claim takes the
//! most urgent jobs of a queue among a set of kinds, charges an attempt and leaves a random token; a settlement changes
//! a job only where it finds that token, and leaves an outcome. Each step is committed before the next one relies on it.
//!
//! What the protocol does not need is left out: no index for rescue or retention, no workers. Where a store serves
//! several connections at once, one and two are tried.

mod latency;
mod memory;
mod postgres;
mod rates;
mod side_by_side;
mod sqlite;
mod store;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use crate::cli::{BackendName, Workload};
use crate::plan::Plan;

use self::memory::MemoryStore;
use self::postgres::PostgresStore;
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
        BackendName::Memory => measure_on(plan, &[1], |_| Ok(vec![MemoryStore::new()])),
        BackendName::Sqlite => measure_on(plan, &[1], |_| Ok(vec![SqliteStore::create(plan.scratch()?)?])),
        BackendName::Postgres => {
            let url = plan.server()?.url();
            measure_on(plan, &[1, 2], |connections| PostgresStore::create(url, connections))
        }
    }
}

/// Every run gets a fresh store from `create`, seen by as many connections as it asks for.
fn measure_on<S: Store>(
    plan: &Plan,
    connections: &[usize],
    create: impl Fn(usize) -> Result<Vec<S>>,
) -> Result<Floor> {
    match plan.workload {
        Workload::EnqueueBatch => rates::fastest(plan, BATCHES, connections, create, rates::enqueue),
        Workload::EnqueueSingle => rates::fastest(plan, SHARED_COMMITS, connections, create, rates::enqueue),
        Workload::Drain => rates::fastest(plan, BATCHES, connections, create, rates::drain),
        Workload::Latency => latency::measure(plan, create(1)?.pop().context("the floor has no store")?),
        Workload::Stalled | Workload::Idle | Workload::HeldSnapshot => bail!("it is its own floor"),
    }
}

#[cfg(test)]
mod tests;
