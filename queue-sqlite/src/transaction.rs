//! Statements that begin and end transactions.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::is_busy;

/// Maximum wait for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(pub(crate) Duration);

impl Patience {
    /// Whether a wait since `start` has timed out.
    pub(crate) fn is_over(self, start: Instant) -> bool {
        start.elapsed() >= self.0
    }
}

/// Begins a transaction that may write. Retries until the wait since `start` times out.
pub(crate) fn begin(
    connection: &Connection,
    patience: &Patience,
    start: Instant,
) -> Result<(), rusqlite::Error> {
    loop {
        match try_begin(connection) {
            Err(error) if is_busy(&error) && !patience.is_over(start) => {}
            result => return result,
        }
    }
}

/// Begins a transaction that may write. Waits for the lock at most for the busy timeout.
pub(crate) fn try_begin(connection: &Connection) -> Result<(), rusqlite::Error> {
    run(connection, "BEGIN IMMEDIATE")
}

/// Commits. Rolls the transaction back after an error.
pub(crate) fn commit(connection: &Connection) -> Result<(), rusqlite::Error> {
    run(connection, "COMMIT").inspect_err(|_| {
        // Returns the error of the commit, not of the rollback.
        let _ = rollback(connection);
    })
}

/// Rolls the transaction back, unless SQLite already did.
pub(crate) fn rollback(connection: &Connection) -> Result<(), rusqlite::Error> {
    if connection.is_autocommit() { Ok(()) } else { run(connection, "ROLLBACK") }
}

/// Runs a statement without parameters and rows.
pub(crate) fn run(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
