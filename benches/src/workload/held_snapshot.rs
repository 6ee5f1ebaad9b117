//! Measures whether rounds of jobs slow down while another transaction holds a snapshot.
//!
//! Each job leaves dead rows and index entries, which the server cannot remove before the other
//! transaction ends. A claim that reads past them costs more in each round.
//!
//! Each round has a new worker, as in the workload `drain`. A new worker has no position, so its
//! first claim starts before the entries of all earlier rounds.

use anyhow::{Result, ensure};
use queue::runtime::DEFAULT_SLOTS;
use serde_json::Map;
use tokio::runtime::Runtime;

use super::location::JobsLocation;
use super::store::Store;
use super::{Measured, drain};
use crate::cli::BackendName;
use crate::cpu::CpuMeter;
use crate::floor::Floor;
use crate::plan::Plan;
use crate::postgres::HeldSnapshot;
use crate::rounds::{Round, Rounds};
use crate::samples::rate;

/// Not measured. Otherwise cold caches slow the first rounds and hide the slowdown of the last
/// rounds.
const WARM_UP: usize = 1;

/// The rates of the first and the last rounds.
pub(super) fn measure(plan: &Plan) -> Result<(Floor, Measured)> {
    ensure!(
        plan.backend == BackendName::Postgres,
        "only PostgreSQL keeps dead rows for a snapshot: use --backend postgres"
    );
    let location = JobsLocation::new(plan)?;
    let runtime = Runtime::new()?;
    let store = runtime.block_on(Store::open(plan.backend, location.address()))?;
    for _ in 0..WARM_UP {
        runtime.block_on(drain::round(plan, &store))?;
    }

    let snapshot = HeldSnapshot::take(plan.server()?.url())?;
    let meter = CpuMeter::new(plan.server()?.process_id());
    let round = || {
        let (took, cpu) = meter.measure(|| runtime.block_on(drain::round(plan, &store)))?;
        let (drain, enqueue) = (rate(plan.jobs, took.drain), rate(plan.jobs, took.enqueue));
        Ok(Round::new(plan.jobs, drain, enqueue, cpu))
    };
    let rounds = (0..plan.rounds).map(|_| round()).collect::<Result<Vec<_>>>()?;
    snapshot.ensure_held()?;
    runtime.block_on(store.ensure_completed(plan.jobs * (WARM_UP + plan.rounds)))?;

    let rounds = Rounds::new(rounds);
    let floor = Floor { value: rounds.first.drain_jobs_per_s, settings: Map::new() };
    let measured = Measured::new(rounds.last.drain_jobs_per_s).setting("slots", DEFAULT_SLOTS);
    Ok((floor, measured.rounds(rounds)))
}
