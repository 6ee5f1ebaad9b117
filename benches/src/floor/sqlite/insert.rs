//! Inserts jobs.

use anyhow::{Context as _, Result};
use rusqlite::{Connection, params};

use crate::floor::store::{KINDS, LEASE, MAX_RETRIES, NewJob, QUEUE};

/// Rows per statement. A third faster than one statement per row; more rows are no faster.
const ROWS: usize = 50;

const INSERT_JOBS: &str = include_str!("insert_jobs.sql");
const INSERT_LIVE: &str = include_str!("insert_live.sql");
/// The values of one row of [`INSERT_JOBS`].
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Inserts all jobs as ready.
pub(super) fn insert(connection: &Connection, jobs: &[NewJob], now: i64) -> Result<()> {
    let mut first = None;
    for some in jobs.chunks(ROWS) {
        insert_jobs(connection, some, now)?;
        // The keys are consecutive, because one writer inserts the rows in one statement.
        let last = connection.last_insert_rowid();
        first = first.or(Some(last + 1 - i64::try_from(some.len())?));
    }
    let first = first.context("the floor was given no jobs")?;
    connection.prepare_cached(INSERT_LIVE)?.execute(params![first])?;
    Ok(())
}

fn insert_jobs(connection: &Connection, jobs: &[NewJob], now: i64) -> Result<()> {
    let rows = vec![ROW; jobs.len()].join(", ");
    let mut statement = connection.prepare_cached(&format!("{INSERT_JOBS} {rows}"))?;
    for (row, NewJob { id, payload }) in jobs.iter().enumerate() {
        let before = row * 9;
        statement.raw_bind_parameter(before + 1, id.as_slice())?;
        statement.raw_bind_parameter(before + 2, KINDS[0])?;
        statement.raw_bind_parameter(before + 3, QUEUE)?;
        statement.raw_bind_parameter(before + 4, 0)?;
        statement.raw_bind_parameter(before + 5, now)?;
        statement.raw_bind_parameter(before + 6, MAX_RETRIES)?;
        statement.raw_bind_parameter(before + 7, LEASE)?;
        statement.raw_bind_parameter(before + 8, now)?;
        statement.raw_bind_parameter(before + 9, &**payload)?;
    }
    statement.raw_execute()?;
    Ok(())
}
