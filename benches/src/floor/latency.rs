//! Measures the bare commits between an enqueue call and the start of the handler.

use std::thread::sleep;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

use super::Floor;
use super::store::{Claim, Store, jobs};
use crate::plan::{PAUSE, Plan};
use crate::progress;
use crate::samples::{Percentiles, rounded};

/// Rounds of warm-up, which are not counted.
const WARM_UP: usize = 100;

/// Measures one insert commit and one claim commit per job, with the pauses of the workload,
/// because a commit after a pause costs more than one in a series. The settle is not measured.
pub(super) fn measure(plan: &Plan, mut store: impl Store) -> Result<Floor> {
    let jobs = jobs(WARM_UP + plan.jobs, plan.payload_bytes);
    let bar = progress::bar("floor: commits in series", jobs.len())?;
    let mut samples = Vec::with_capacity(jobs.len());
    for job in jobs.chunks(1) {
        let start = Instant::now();
        store.insert(job)?;
        let claim = store.turn(&Claim::empty(), 1)?;
        samples.push(start.elapsed());
        ensure!(claim.keys.len() == 1, "the floor claimed {} jobs instead of one", claim.keys.len());
        store.turn(&claim, 0)?;
        bar.inc(1);
        sleep(PAUSE);
    }
    bar.finish_and_clear();
    let Percentiles { p50, p99 } = Percentiles::of(samples.split_off(WARM_UP));
    let mut settings = Map::from_iter([("floor_p99_us".to_owned(), Value::from(rounded(p99)))]);
    settings.extend(store.settings());
    Ok(Floor { value: p50, settings })
}
