//! The plain steps of a transaction.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::is_busy;

/// How long to wait for locks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(pub(crate) Duration);

impl Patience {
    /// Whether who waits since `start` has waited long enough.
    pub(crate) fn is_over(self, start: Instant) -> bool {
        start.elapsed() >= self.0
    }
}

/// Begins a transaction that may write, however often that has to be tried since `start`.
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

/// Begins a transaction that may write, waiting a short time only.
pub(crate) fn try_begin(connection: &Connection) -> Result<(), rusqlite::Error> {
    run(connection, "BEGIN IMMEDIATE")
}

/// Commits. After an error nothing is left of the transaction.
pub(crate) fn commit(connection: &Connection) -> Result<(), rusqlite::Error> {
    run(connection, "COMMIT").inspect_err(|_| {
        // The error of the commit is the one to tell.
        let _ = rollback(connection);
    })
}

/// Undoes the transaction, unless SQLite did so already.
pub(crate) fn rollback(connection: &Connection) -> Result<(), rusqlite::Error> {
    if connection.is_autocommit() { Ok(()) } else { run(connection, "ROLLBACK") }
}

/// Runs a statement that has neither parameters nor rows.
pub(crate) fn run(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
