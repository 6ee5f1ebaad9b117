//! Entering jobs.

use queue_core::backend::InsertRequest;
use queue_core::{Error, ErrorKind, Insertion, JobId, JobSpec, Result, Submitted, Timestamp};

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
    let known = known(tables, batch)?;
    let insertion = match known.first() {
        None => Insertion::New,
        Some(_) if known.len() == batch.len() => Insertion::Known,
        Some(&id) => return Err(conflict(id, "it is stored already, but not all of its batch")),
    };
    if insertion == Insertion::New {
        for spec in batch {
            let live = Live::new(spec, now);
            tables.add_job(spec, now)?;
            tables.add_live(spec.id, &live)?;
            news.of_job(&live, now);
        }
    }
    Ok(batch.iter().map(|spec| Submitted::new(spec.id, insertion)).collect())
}

/// The jobs of the batch that are stored already, with the same content.
fn known(tables: &Tables<'_>, batch: &[JobSpec]) -> Result<Vec<JobId>> {
    let mut known = Vec::new();
    for spec in batch {
        if let Some(stored) = job(&*tables.jobs, spec.id)? {
            if !spec.is_same_as(&stored.spec, stored.created_at) {
                return Err(conflict(spec.id, "it is stored already, with other content"));
            }
            known.push(spec.id);
        }
    }
    Ok(known)
}

fn conflict(id: JobId, why: &str) -> Error {
    Error::new(ErrorKind::Conflict, "insert a batch", format!("job {id}: {why}")).with_jobs(vec![id])
}
