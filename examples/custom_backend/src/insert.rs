//! Entering jobs.

use queue_core::backend::InsertRequest;
use queue_core::{Error, ErrorKind, JobSpec, Result, Submitted, Timestamp};

use crate::rows::{Live, job};
use crate::tables::Tables;
use crate::wake::News;

/// Stores each batch whole, or says why not.
pub(crate) fn insert(
    tables: &mut Tables<'_>,
    news: &mut News,
    request: &InsertRequest,
) -> Result<Vec<Result<Vec<Submitted>>>> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    let batches = request.batches.iter();
    batches.map(|batch| tables.apart(|tables| insert_batch(tables, news, now, batch))).collect()
}

/// Looks at every job before it stores any: a batch that is refused has left nothing behind.
fn insert_batch(
    tables: &mut Tables<'_>,
    news: &mut News,
    now: Timestamp,
    batch: &[JobSpec],
) -> Result<Vec<Submitted>> {
    let inserted = match known(tables, batch)? {
        0 => true,
        many if many == batch.len() => false,
        _ => return Err(known_in_part(tables, batch)?),
    };
    if inserted {
        for spec in batch {
            let live = Live::new(spec, now);
            tables.add_job(spec, now)?;
            tables.add_live(spec.id, &live)?;
            news.of_job(&live, now);
        }
    }
    Ok(batch.iter().map(|spec| Submitted { id: spec.id, inserted }).collect())
}

/// How many jobs of the batch are stored already.
fn known(tables: &Tables<'_>, batch: &[JobSpec]) -> Result<usize> {
    let mut many = 0;
    for spec in batch {
        if let Some(stored) = job(&*tables.jobs, spec.id)? {
            if !spec.is_same_as(&stored.spec, stored.created_at) {
                return Err(conflict(spec, "the id belongs to a job with other content"));
            }
            many += 1;
        }
    }
    Ok(many)
}

fn known_in_part(tables: &Tables<'_>, batch: &[JobSpec]) -> Result<Error> {
    for spec in batch {
        if job(&*tables.jobs, spec.id)?.is_some() {
            return Ok(conflict(spec, "the job is stored already, but not all of its batch"));
        }
    }
    Ok(Error::new(ErrorKind::Conflict, "insert a batch", "a part of it is stored already"))
}

fn conflict(spec: &JobSpec, why: &str) -> Error {
    let message = format!("job {}: {why}", spec.id);
    Error::new(ErrorKind::Conflict, "insert a batch", message).with_jobs(vec![spec.id])
}
