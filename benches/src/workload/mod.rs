//! The workloads: what a program reaches through the whole queue, with default settings.

mod child;
mod drain;
mod enqueue;
mod latency;
mod parcel;
mod store;

use anyhow::Result;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::cli::Workload;
use crate::plan::Plan;

pub(crate) use self::child::serve;

/// What a workload reached.
#[derive(Debug)]
pub(crate) struct Measured {
    /// In the unit of the workload.
    pub(crate) value: f64,
    /// What belongs to the figure: slots, further percentiles.
    pub(crate) settings: Map<String, Value>,
}

impl Measured {
    fn new(value: f64) -> Self {
        Self { value, settings: Map::new() }
    }

    fn setting(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }
}

/// Runs a workload on a fresh store.
pub(crate) fn measure(plan: &Plan) -> Result<Measured> {
    Runtime::new()?.block_on(async {
        let store = store::open(plan).await?;
        match plan.workload {
            Workload::EnqueueBatch => enqueue::batches(plan, &store).await,
            Workload::EnqueueSingle => enqueue::singles(plan, &store).await,
            Workload::Drain => drain::measure(plan, &store).await,
            Workload::Latency => latency::measure(plan, &store).await,
        }
    })
}
