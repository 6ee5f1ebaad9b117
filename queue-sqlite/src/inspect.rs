//! Reads jobs for inspection.

use async_trait::async_trait;
use queue_core::backend::{AttemptError, Inspect, JobRecord, ListRequest, NextReady};
use queue_core::{JobId, Kind, QueueName, Result};
use rusqlite::{Connection, Row, named_params, params};

use crate::backend::SqliteBackend;
use crate::error::{Outcome, corrupt, named};
use crate::{row, state, worker};

const READ: &str = include_str!("sql/inspect_read.sql");
const LIST: &str = include_str!("sql/inspect_list.sql");
const NEXT_READY: &str = include_str!("sql/inspect_next_ready.sql");
const ERRORS: &str = include_str!("sql/inspect_errors.sql");

#[async_trait]
impl Inspect for SqliteBackend {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let ids = ids.to_vec();
        self.read("read jobs", move |connection| ids.iter().map(|id| job(connection, *id)).collect()).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.read("list jobs", move |connection| list(connection, &request)).await
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let queues = queues.to_vec();
        self.read("read which jobs are next", move |connection| next_ready(connection, &queues)).await
    }
}

fn job(connection: &Connection, id: JobId) -> Outcome<Option<JobRecord>> {
    let mut statement = connection.prepare_cached(READ)?;
    let mut rows = statement.query([id.to_bytes()])?;
    rows.next()?.map(|row| record(connection, row)).transpose()
}

fn list(connection: &Connection, request: &ListRequest) -> Outcome<Vec<JobRecord>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query(named_params! {
        ":after": request.after.map(JobId::to_bytes),
        ":state": request.state.map(state::number),
        ":queue": request.queue.as_ref().map(QueueName::as_str),
        ":kind": request.kind.as_ref().map(Kind::as_str),
        ":limit": request.limit,
    })?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(connection, row)?);
    }
    Ok(records)
}

fn next_ready(connection: &Connection, queues: &[QueueName]) -> Outcome<Vec<NextReady>> {
    let mut statement = connection.prepare_cached(NEXT_READY)?;
    let mut next = Vec::new();
    for queue in queues {
        let mut rows = statement.query([queue.as_str()])?;
        while let Some(row) = rows.next()? {
            let kind = Kind::new(row.get::<_, String>(0)?).map_err(|error| corrupt(error.to_string()))?;
            next.push(NextReady::new(queue.clone(), kind, row::job_id(row, 1)?));
        }
    }
    Ok(next)
}

/// Reads the columns that both statements select.
fn record(connection: &Connection, row: &Row<'_>) -> Outcome<JobRecord> {
    let id = row::job_id(row, 1)?;
    named(id, || record_of(id, connection, row))
}

fn record_of(id: JobId, connection: &Connection, row: &Row<'_>) -> Outcome<JobRecord> {
    let kind = Kind::new(row.get::<_, String>(15)?).map_err(|error| corrupt(error.to_string()))?;
    let queue = QueueName::new(row.get::<_, String>(16)?).map_err(|error| corrupt(error.to_string()))?;
    let job = row::job(row, id, 4)?.named(kind, queue);
    Ok(JobRecord::new(job, row::time(row, 2)?, state::state(row.get(3)?)?, row::time(row, 17)?)
        .attempt(row.get(18)?)
        .progress(worker::progress(row, 19)?)
        .finished_at(row::time_if_any(row, 20)?)
        .result(row.get(21)?)
        .error(row.get(22)?)
        .errors(errors(connection, row.get(0)?)?))
}

fn errors(connection: &Connection, seq: i64) -> Outcome<Vec<AttemptError>> {
    let mut statement = connection.prepare_cached(ERRORS)?;
    let mut rows = statement.query(params![seq])?;
    let mut errors = Vec::new();
    while let Some(row) = rows.next()? {
        let error = AttemptError::new(row.get(0)?, row::time(row, 1)?, row.get::<_, String>(2)?);
        let (duration, worker) = (row::duration_if_any(row, 3)?, row::worker_id_if_any(row, 4)?);
        errors.push(error.duration(duration).worker(worker));
    }
    Ok(errors)
}
