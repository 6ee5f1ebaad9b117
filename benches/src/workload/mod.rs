//! The workloads, through the whole queue with default settings.

mod child;
mod drain;
mod enqueue;
mod enqueue_tx;
mod held_snapshot;
mod idle;
mod latency;
mod location;
mod parcel;
mod probe;
mod request_reply;
mod schedules;
mod stalled;
mod store;

use anyhow::{Result, bail};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::cli::Workload;
use crate::floor::{self, Floor};
use crate::plan::Plan;
use crate::rounds::Rounds;

use self::location::JobsLocation;
use self::store::Store;

pub(crate) use self::child::serve;

/// The result of a workload.
#[derive(Debug)]
pub(crate) struct Measured {
    /// In the unit of the workload.
    pub(crate) value: f64,
    /// Settings of the measurement, and further figures.
    pub(crate) settings: Map<String, Value>,
    /// The rounds, if the workload has rounds.
    pub(crate) rounds: Option<Rounds>,
}

impl Measured {
    fn new(value: f64) -> Self {
        Self { value, settings: Map::new(), rounds: None }
    }

    fn setting(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    fn rounds(mut self, rounds: Rounds) -> Self {
        self.rounds = Some(rounds);
        self
    }
}

/// Runs a workload on a new store, after its floor.
pub(crate) fn measure(plan: &Plan) -> Result<(Floor, Measured)> {
    match plan.workload {
        Workload::EnqueueBatch
        | Workload::EnqueueSingle
        | Workload::Drain
        | Workload::Latency
        | Workload::RequestReply => Ok((floor::measure(plan)?, on_a_store(plan)?)),
        Workload::EnqueueTx => enqueue_tx::measure(plan),
        Workload::Stalled => stalled::measure(plan),
        Workload::Idle => idle::measure(plan),
        Workload::HeldSnapshot => held_snapshot::measure(plan),
        Workload::Schedules => schedules::fires(plan),
        Workload::IdleSchedules => schedules::idle(plan),
    }
}

fn on_a_store(plan: &Plan) -> Result<Measured> {
    // The location is dropped last, after the runtime and the store that use it.
    let location = JobsLocation::new(plan)?;
    let runtime = Runtime::new()?;
    let store = runtime.block_on(Store::open(plan.backend, location.address()))?;
    let meter = match plan.workload {
        Workload::EnqueueBatch | Workload::EnqueueSingle | Workload::Drain => location.meter()?,
        // The server logs more between the jobs than for them.
        _ => None,
    };

    let mut measured = runtime.block_on(run(plan, &store))?;
    // Before the check, because its reads may clean up pages and thereby write to the log.
    if let Some(meter) = meter {
        measured.settings.extend(meter.read()?.settings("", plan.jobs)?);
    }
    runtime.block_on(check(plan, &store))?;
    Ok(measured)
}

async fn run(plan: &Plan, store: &Store) -> Result<Measured> {
    match plan.workload {
        Workload::EnqueueBatch => enqueue::batches(plan, store).await,
        Workload::EnqueueSingle => enqueue::singles(plan, store).await,
        Workload::Drain => drain::measure(plan, store).await,
        Workload::Latency => latency::measure(plan, store).await,
        Workload::RequestReply => request_reply::measure(plan, store).await,
        _ => bail!("this workload opens its own stores"),
    }
}

/// Checks that all jobs were processed; otherwise the figure is void.
async fn check(plan: &Plan, store: &Store) -> Result<()> {
    match plan.workload {
        Workload::EnqueueBatch | Workload::EnqueueSingle => store.ensure_stored(plan.jobs).await,
        Workload::Drain => store.ensure_completed(plan.jobs).await,
        // Each job was awaited.
        _ => Ok(()),
    }
}
