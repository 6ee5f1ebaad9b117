//! Reads the raw rows for the conformance kit.

use async_trait::async_trait;
use queue_core::backend::{Audit, KeyRow, LiveRow, OutcomeRow, Stored};
use queue_core::{Kind, QueueName, Result, WorkerId};
use rusqlite::{Connection, Row};

use crate::backend::SqliteBackend;
use crate::error::{Outcome, corrupt};
use crate::{row, state};

const JOBS: &str = include_str!("sql/audit_jobs.sql");
const LIVE: &str = include_str!("sql/audit_live.sql");
const OUTCOMES: &str = include_str!("sql/audit_outcomes.sql");
const UNIQUE_KEYS: &str = include_str!("sql/audit_unique_keys.sql");
const WORKERS: &str = include_str!("sql/audit_workers.sql");

#[async_trait]
impl Audit for SqliteBackend {
    async fn stored(&self) -> Result<Stored> {
        self.read("read all rows", |connection| {
            Ok(Stored::new(
                rows(connection, JOBS, |row| row::job_id(row, 0))?,
                rows(connection, LIVE, live)?,
                rows(connection, OUTCOMES, outcome)?,
                rows(connection, WORKERS, worker)?,
            )
            .unique_keys(rows(connection, UNIQUE_KEYS, unique_key)?))
        })
        .await
    }
}

fn rows<T>(connection: &Connection, sql: &str, read: impl Fn(&Row<'_>) -> Outcome<T>) -> Outcome<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

fn live(row: &Row<'_>) -> Outcome<LiveRow> {
    let queue: String = row.get(1)?;
    Ok(LiveRow::new(
        row::job_id(row, 0)?,
        QueueName::new(queue).map_err(|error| corrupt(error.to_string()))?,
        state::state(row.get(3)?)?,
        row::time(row, 4)?,
    )
    .priority(row.get(2)?)
    .attempt(row.get(5)?)
    .max_retries(row.get(6)?)
    .claim(row::claim_id_if_any(row, 7)?)
    .worker(row::worker_id_if_any(row, 8)?)
    .deadline(row::time_if_any(row, 9)?)
    .unique(row.get(10)?))
}

fn unique_key(row: &Row<'_>) -> Outcome<KeyRow> {
    let kind = Kind::new(row.get::<_, String>(0)?).map_err(|error| corrupt(error.to_string()))?;
    let key: String = row.get(1)?;
    Ok(KeyRow::new(kind, key, row::job_id(row, 2)?).until(row::time_if_any(row, 3)?))
}

fn outcome(row: &Row<'_>) -> Outcome<OutcomeRow> {
    Ok(OutcomeRow::new(row::job_id(row, 0)?, state::state(row.get(1)?)?, row::time(row, 2)?)
        .attempt(row.get(3)?)
        .max_retries(row.get(4)?)
        .claim(row::claim_id_if_any(row, 5)?)
        .result(row.get(6)?)
        .error(row.get(7)?))
}

fn worker(row: &Row<'_>) -> Outcome<WorkerId> {
    row::worker_id_if_any(row, 0)?.ok_or_else(|| corrupt("a worker without an id"))
}
