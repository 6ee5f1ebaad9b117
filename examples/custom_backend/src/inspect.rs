//! Reads of jobs.

use std::ops::Bound;

use queue_core::backend::{JobRecord, ListRequest, NextReady};
use queue_core::{JobId, Kind, QueueName, Result};

use crate::error::{Doing as _, Stored as _, corrupt};
use crate::layout::{Id, Micros};
use crate::rows::{AsId as _, JobRow, attempt_errors, job, live, outcome};
use crate::tables::Snapshot;

/// Returns the current record of each job.
pub(crate) fn jobs(snapshot: &Snapshot, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
    let record = |&id: &JobId| job(&snapshot.jobs, id)?.map(|row| record(snapshot, row)).transpose();
    ids.iter().map(record).collect()
}

/// Returns a page of jobs. It reads and skips other jobs; for frequent lists, add indexes.
pub(crate) fn list(snapshot: &Snapshot, request: &ListRequest) -> Result<Vec<JobRecord>> {
    let first = request.after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_id()));
    let mut page = Vec::new();
    for row in snapshot.jobs.range::<Id>((first, Bound::Unbounded)).doing("list jobs")? {
        if page.len() == request.limit as usize {
            break;
        }
        let (id, value) = row.doing("list jobs")?;
        let record = record(snapshot, JobRow::read(id.value(), value.value())?)?;
        if is_requested(&record, request) {
            page.push(record);
        }
    }
    Ok(page)
}

/// Returns the first ready job of each kind. It steps from kind to kind in the index.
pub(crate) fn next_ready(snapshot: &Snapshot, queues: &[QueueName]) -> Result<Vec<NextReady>> {
    let mut next = Vec::new();
    for queue in queues {
        if snapshot.paused.get(queue.as_str()).doing("look for paused queues")?.is_some() {
            continue;
        }
        let mut after = String::new();
        while let Some((kind, id)) = first_ready(snapshot, queue, &after)? {
            next.push(NextReady::new(
                queue.clone(),
                Kind::new(&kind).stored()?,
                JobId::from_bytes(id.to_be_bytes()),
            ));
            after = kind;
        }
    }
    Ok(next)
}

/// Returns the first ready job of the next kind.
fn first_ready(snapshot: &Snapshot, queue: &QueueName, after: &str) -> Result<Option<(String, Id)>> {
    let last_of_kind = (queue.as_str(), after, i16::MAX, Micros::MAX, Id::MAX);
    let later = (Bound::Excluded(last_of_kind), Bound::Unbounded);
    let row = snapshot.ready.range(later).doing("read which jobs are next")?.next();
    let Some(row) = row.transpose().doing("read which jobs are next")? else { return Ok(None) };
    let (of, kind, _, _, id) = row.0.value();
    Ok((of == queue.as_str()).then(|| (kind.to_owned(), id)))
}

fn is_requested(record: &JobRecord, request: &ListRequest) -> bool {
    request.state.is_none_or(|state| state == record.state)
        && request.queue.as_ref().is_none_or(|queue| *queue == record.job.queue)
        && request.kind.as_ref().is_none_or(|kind| *kind == record.job.kind)
}

fn record(snapshot: &Snapshot, JobRow { spec, created_at }: JobRow) -> Result<JobRecord> {
    let id = spec.id;
    let errors = attempt_errors(&snapshot.errors, id)?;
    if let Some(live) = live(&snapshot.live, id)? {
        return Ok(JobRecord::new(spec, created_at, live.state, live.run_at)
            .attempt(live.attempt)
            .progress(live.lease.and_then(|lease| lease.progress))
            .errors(errors));
    }
    let missing = || corrupt(format!("job {id} is neither live nor finished"));
    let end = outcome(&snapshot.outcomes, id)?.ok_or_else(missing)?;
    let run_at = spec.run_at.unwrap_or(created_at);
    Ok(JobRecord::new(spec, created_at, end.state, run_at)
        .attempt(end.attempt)
        .finished_at(Some(end.finished_at))
        .result(end.result)
        .error(end.error)
        .errors(errors))
}
