//! The ends of jobs, for callers that wait for them.

use queue_core::backend::{Hint, JobEnd, WakeHints};
use queue_core::{JobId, Result};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::row;
use crate::types::Id;

/// How these jobs ended. Marks the unfinished ones, so that their ends are announced.
pub(crate) async fn watch(core: &Core, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let watched = async {
        let ids: Vec<Id> = jobs.iter().map(|job| (*job).into()).collect();
        let rows = core.query(&core.statements.watch, &[&ids]).await?;
        read(core, &rows, jobs)
    };
    watched.await.map_err(|fault: Fault| fault.into_error("read the ends of jobs", Effect::Writes))
}

fn read(core: &Core, rows: &[Row], jobs: &[JobId]) -> Outcome<Vec<Option<JobEnd>>> {
    let mut ends = vec![None; jobs.len()];
    let mut hints = WakeHints::new();
    let mut many = 0;
    for row in rows {
        let Some(place) = row::get::<Option<i64>>(row, 0)? else {
            hints.add(Hint::new(row::queue(row, 4)?, row::get(row, 5)?, row::time(row, 6)?));
            continue;
        };
        let place = place.checked_sub(1).and_then(|place| ends.get_mut(usize::try_from(place).ok()?));
        *place.ok_or_else(|| corrupt("the end of a job that was not asked for"))? = end(row)?;
        many += 1;
    }
    // A claim may have skipped the ready jobs while they were locked.
    core.waker.wake(hints);
    if many != jobs.len() {
        return Err(corrupt(format!("{many} ends for {} jobs", jobs.len())));
    }
    Ok(ends)
}

fn end(row: &Row) -> Outcome<Option<JobEnd>> {
    match row::get::<Option<&str>>(row, 1)? {
        None => Ok(None),
        Some("") => Ok(Some(JobEnd::Gone)),
        Some(state) => {
            let end = JobEnd::of(row::state_of(state)?, row::get(row, 2)?, row::get(row, 3)?);
            end.map(Some).ok_or_else(|| corrupt(format!("the outcome `{state}`")))
        }
    }
}
