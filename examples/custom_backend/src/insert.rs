//! Inserts of jobs.

use queue_core::backend::{InsertRequest, compare_batch};
use queue_core::{Error, Insertion, JobSpec, Result, Submitted, Timestamp};

use crate::rows::{Live, job};
use crate::tables::Tables;

/// Stores each batch completely, or returns its error.
pub(crate) fn insert(
    tables: &mut Tables<'_>,
    request: &InsertRequest,
) -> Result<Vec<Result<Vec<Submitted>>>> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    let batches = request.batches.iter();
    batches.map(|batch| tables.try_part(|tables| insert_batch(tables, now, batch))).collect()
}

/// Compares all jobs before it stores the first, so that a refused batch changes nothing.
fn insert_batch(tables: &mut Tables<'_>, now: Timestamp, batch: &[JobSpec]) -> Result<Vec<Submitted>> {
    let stored = |id| Ok::<_, Error>(job(&*tables.jobs, id)?.map(|row| (row.spec, row.created_at)));
    let insertions = compare_batch(batch, stored)?;
    for (spec, insertion) in batch.iter().zip(&insertions) {
        if *insertion == Insertion::New {
            let live = Live::new(spec, now);
            tables.add_job(spec, now)?;
            tables.add_live(spec.id, &live)?;
            tables.hints.add(live.hint(now));
        }
    }
    Ok(batch.iter().zip(insertions).map(|(spec, insertion)| Submitted::new(spec.id, insertion)).collect())
}
