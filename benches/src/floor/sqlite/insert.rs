//! Storing jobs.

use anyhow::{Context as _, Result};
use rusqlite::{Connection, params};

use crate::floor::store::{KINDS, LEASE, MAX_RETRIES, NewJob, QUEUE};

/// Rows in a list of values: a third less time than a statement a row, and more rows gain nothing further.
const ROWS: usize = 50;

const INSERT_JOBS: &str = include_str!("insert_jobs.sql");
const INSERT_LIVE: &str = include_str!("insert_live.sql");
/// The values of one row of [`INSERT_JOBS`].
const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Stores every job and makes it ready.
pub(super) fn insert(connection: &Connection, jobs: &[NewJob], now: i64) -> Result<()> {
    let mut first = None;
    for some in jobs.chunks(ROWS) {
        insert_jobs(connection, some, now)?;
        // One writer, one statement: the keys of its rows are consecutive.
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
