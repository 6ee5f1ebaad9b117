//! Returns the raw rows to the conformance kit.

use queue_core::Result;
use queue_core::backend::{LiveRow, OutcomeRow, Stored};
use redb::{AccessGuard, Key, ReadOnlyTable, ReadableTable as _, Value};

use crate::error::Doing as _;
use crate::rows::{Live, Outcome, WorkerRow, job_id, worker_id};
use crate::tables::Snapshot;

/// Returns all rows without repair.
pub(crate) fn stored(snapshot: &Snapshot) -> Result<Stored> {
    let workers =
        all(&snapshot.workers, |id, row| Ok((worker_id(id.value()), WorkerRow::read(row.value())?)))?;
    Ok(Stored::new(
        all(&snapshot.jobs, |id, _| Ok(job_id(id.value())))?,
        all(&snapshot.live, |id, row| {
            let live = Live::read(row.value())?;
            Ok(LiveRow::new(job_id(id.value()), live.queue, live.state, live.run_at)
                .priority(live.priority)
                .attempt(live.attempt)
                .max_retries(live.max_retries)
                .claim(live.lease.as_ref().map(|lease| lease.claim))
                .worker(live.lease.as_ref().map(|lease| lease.worker))
                .deadline(live.lease.as_ref().map(|lease| lease.deadline)))
        })?,
        all(&snapshot.outcomes, |id, row| {
            let Outcome { state, finished_at, attempt, max_retries, claim, result, error } =
                Outcome::read(row.value())?;
            let id = job_id(id.value());
            Ok(OutcomeRow::new(id, state, finished_at)
                .attempt(attempt)
                .max_retries(max_retries)
                .claim(claim)
                .result(result)
                .error(error))
        })?,
        workers.into_iter().filter(|(_, row)| !row.is_lost).map(|(id, _)| id).collect(),
    ))
}

fn all<K: Key + 'static, V: Value + 'static, T>(
    table: &ReadOnlyTable<K, V>,
    read: impl Fn(AccessGuard<'_, K>, AccessGuard<'_, V>) -> Result<T>,
) -> Result<Vec<T>> {
    let rows = table.iter().doing("read all rows")?;
    rows.map(|row| row.doing("read all rows").and_then(|(key, value)| read(key, value))).collect()
}
