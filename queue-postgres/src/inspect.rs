//! Reads jobs for inspection.

use std::collections::HashMap;

use queue_core::backend::{AttemptError, JobRecord, ListRequest, NextReady};
use queue_core::{Error, ErrorKind, JobId, Kind, Progress, QueueName, Result, WorkerId};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt, named};
use crate::row;
use crate::types::{Id, Interval, Time};

/// The current records of these jobs.
pub(crate) async fn jobs(core: &Core, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
    let read = async {
        check_visible(core).await?;
        let wanted: Vec<Id> = ids.iter().map(|id| (*id).into()).collect();
        let rows = core.query(&core.statements.inspect_read, &[&wanted]).await?;
        let records: Vec<JobRecord> = rows.iter().map(record).collect::<Outcome<_>>()?;
        let by_id: HashMap<JobId, JobRecord> =
            records.into_iter().map(|record| (record.job.id, record)).collect();
        Ok(ids.iter().map(|id| by_id.get(id).cloned()).collect())
    };
    read.await.map_err(|fault: Fault| fault.into_error("read jobs", Effect::Reads))
}

/// A page of jobs in the order of their ids.
pub(crate) async fn list(core: &Core, request: &ListRequest) -> Result<Vec<JobRecord>> {
    let read = async {
        check_visible(core).await?;
        let after = request.after.map_or(Id([0; 16]), Id::from);
        let state = request.state.map(queue_core::JobState::as_str);
        let queue = request.queue.as_ref().map(QueueName::as_str);
        let kind = request.kind.as_ref().map(Kind::as_str);
        let limit = i64::from(request.limit);
        let rows =
            core.query(&core.statements.inspect_list, &[&after, &state, &queue, &kind, &limit]).await?;
        rows.iter().map(record).collect::<Outcome<_>>()
    };
    read.await.map_err(|fault: Fault| fault.into_error("list jobs", Effect::Reads))
}

/// The first ready job of each kind in these queues.
pub(crate) async fn next_ready(core: &Core, queues: &[QueueName]) -> Result<Vec<NextReady>> {
    let read = async {
        let queues: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        let rows = core.query(&core.statements.next_ready, &[&queues]).await?;
        let next =
            |row: &Row| Ok(NextReady::new(row::queue(row, 0)?, row::kind(row, 1)?, row::job_id(row, 2)?));
        rows.iter().map(next).collect::<Outcome<_>>()
    };
    read.await.map_err(|fault: Fault| fault.into_error("read which jobs are next", Effect::Reads))
}

/// Fails if an answer may lack rows. Row level security hides rows silently. A server that was
/// replaced answers from old data.
async fn check_visible(core: &Core) -> Outcome<()> {
    let rows = core.query(&core.statements.visible, &[]).await?;
    let row = row::only(&rows)?;
    if row::get(row, 1)? {
        core.connections.close_idle();
        let message = "the server is read-only now, so it may have been replaced; the next read reconnects";
        return Err(Error::new(ErrorKind::Unavailable, "read jobs", message).into());
    }
    if row::get(row, 0)? {
        let message = "row level security hides jobs from this role; disable it for the tables of the queue, or grant BYPASSRLS";
        return Err(Error::new(ErrorKind::Misconfigured, "read jobs", message).into());
    }
    Ok(())
}

/// Reads the columns that both statements select.
fn record(row: &Row) -> Outcome<JobRecord> {
    let id = row::job_id(row, 0)?;
    named(id, || record_of(id, row))
}

fn record_of(id: JobId, row: &Row) -> Outcome<JobRecord> {
    let job = row::job(row, id, 2)?;
    Ok(JobRecord::new(job, row::time(row, 1)?, row::state(row, 15)?, row::time(row, 16)?)
        .attempt(row::attempt(row, 17)?)
        .progress(progress(row)?)
        .finished_at(row::time_if_any(row, 20)?)
        .result(row::get(row, 21)?)
        .error(row::get(row, 22)?)
        .errors(errors(row)?))
}

fn progress(row: &Row) -> Outcome<Option<Progress>> {
    let number = |column| -> Outcome<Option<u64>> {
        let text: Option<&str> = row::get(row, column)?;
        text.map(|text| text.parse().map_err(|_| corrupt(format!("the progress `{text}`")))).transpose()
    };
    let both = number(18)?.zip(number(19)?);
    Ok(both.map(|(done, total)| Progress { done, total }))
}

fn errors(row: &Row) -> Outcome<Vec<AttemptError>> {
    let Some(attempts) = row::get::<Option<Vec<i32>>>(row, 23)? else {
        return Ok(Vec::new());
    };
    let (times, texts): (Vec<Time>, Vec<String>) = (row::get(row, 24)?, row::get(row, 25)?);
    let (durations, workers): (Vec<Option<Interval>>, Vec<Option<Id>>) =
        (row::get(row, 26)?, row::get(row, 27)?);
    let mut errors = Vec::with_capacity(attempts.len());
    let rows = attempts.into_iter().zip(times).zip(texts).zip(durations.into_iter().zip(workers));
    for (((attempt, at), text), (duration, worker)) in rows {
        let attempt = u32::try_from(attempt).map_err(|_| corrupt(format!("the attempt {attempt}")))?;
        let worker = worker.map(|worker| WorkerId::from_bytes(worker.0));
        let duration = duration.map(|duration| duration.0);
        errors.push(AttemptError::new(attempt, at.0, text).duration(duration).worker(worker));
    }
    Ok(errors)
}
