//! Measures the floor of a workload: the speed of a bare loop over the same store, without a queue.
//!
//! A floor keeps the queue's protocol. An insert stores a job together with its ready row. A claim
//! takes the most urgent jobs of a queue and a set of kinds, counts the attempt and stores a random
//! token. A settle changes only jobs with that token and stores an outcome. Each step is committed
//! before the next step depends on it.
//!
//! A floor has nothing that the protocol does not need: no index for rescue or retention, no
//! workers. If a store supports several connections, the floor runs with one and with two.

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

/// The batch sizes to try; the fastest counts.
const BATCHES: [usize; 4] = [100, 250, 500, 1000];
/// Batch sizes for 64 callers of one job each, who cannot fill a larger commit.
const SHARED_COMMITS: [usize; 4] = [8, 16, 32, 64];

/// The value to compare with.
#[derive(Debug)]
pub(crate) struct Floor {
    /// In the unit of the workload.
    pub(crate) value: f64,
    /// The settings of the measurement.
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

/// Each run gets a new store from `create` with the given number of connections.
fn measure_on<S: Store>(
    plan: &Plan,
    connections: &[usize],
    create: impl Fn(usize) -> Result<Vec<S>>,
) -> Result<Floor> {
    match plan.workload {
        Workload::EnqueueBatch => rates::fastest(plan, BATCHES, connections, create, rates::enqueue),
        Workload::EnqueueSingle => rates::fastest(plan, SHARED_COMMITS, connections, create, rates::enqueue),
        Workload::Drain => rates::fastest(plan, BATCHES, connections, create, rates::drain),
        Workload::Latency | Workload::RequestReply => {
            latency::measure(plan, create(1)?.pop().context("the floor has no store")?)
        }
        _ => bail!("this workload is its own floor"),
    }
}

#[cfg(test)]
mod tests;
