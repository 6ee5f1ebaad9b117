//! The last move of a job, and the errors of its attempts.

use std::sync::LazyLock;

use queue_core::{State, Timestamp};
use rusqlite::Connection;

use crate::error::{Outcome, corrupt};
use crate::lists::{Insert, array};
use crate::state;

const OUTCOME_COLUMNS: usize = 7;
const ERROR_COLUMNS: usize = 4;

static OUTCOME_INSERT: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(include_str!("sql/outcome_insert.sql"), OUTCOME_COLUMNS));
static ERROR_INSERT: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(include_str!("sql/attempt_error_insert.sql"), ERROR_COLUMNS));
const LIVE_DELETE: &str = include_str!("sql/live_delete.sql");

/// How a job ends.
pub(crate) struct Ending<'a> {
    pub(crate) seq: i64,
    pub(crate) state: State,
    pub(crate) attempt: u32,
    /// The claim that ends it, if one does.
    pub(crate) claim: Option<[u8; 16]>,
    pub(crate) error: Option<&'a str>,
    pub(crate) result: Option<&'a [u8]>,
}

/// What went wrong in an attempt.
pub(crate) struct Failure<'a> {
    pub(crate) seq: i64,
    pub(crate) attempt: u32,
    pub(crate) error: &'a str,
}

/// Moves jobs from the live ones to the outcomes.
pub(crate) fn end(connection: &Connection, now: Timestamp, endings: &[Ending<'_>]) -> Outcome<()> {
    if endings.is_empty() {
        return Ok(());
    }
    let deleted =
        connection.prepare_cached(LIVE_DELETE)?.execute([array(endings.iter().map(|ending| ending.seq))])?;
    if deleted != endings.len() {
        return Err(corrupt("a job that ends is not live, or ends twice"));
    }
    OUTCOME_INSERT.run(connection, endings, OUTCOME_COLUMNS, |statement, from, ending| {
        statement.raw_bind_parameter(from, ending.seq)?;
        statement.raw_bind_parameter(from + 1, state::number(ending.state))?;
        statement.raw_bind_parameter(from + 2, now.as_micros())?;
        statement.raw_bind_parameter(from + 3, ending.attempt)?;
        statement.raw_bind_parameter(from + 4, ending.claim)?;
        statement.raw_bind_parameter(from + 5, ending.error)?;
        statement.raw_bind_parameter(from + 6, ending.result)
    })?;
    Ok(())
}

/// Records what went wrong.
pub(crate) fn record(connection: &Connection, now: Timestamp, failures: &[Failure<'_>]) -> Outcome<()> {
    ERROR_INSERT.run(connection, failures, ERROR_COLUMNS, |statement, from, failure| {
        statement.raw_bind_parameter(from, failure.seq)?;
        statement.raw_bind_parameter(from + 1, failure.attempt)?;
        statement.raw_bind_parameter(from + 2, now.as_micros())?;
        statement.raw_bind_parameter(from + 3, failure.error)
    })?;
    Ok(())
}
