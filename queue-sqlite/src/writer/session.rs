//! What the writer's operations work with.

use std::path::PathBuf;

use queue_core::{Error, Timestamp};
use rusqlite::Connection;

use crate::connection;
use crate::damaged::Damaged;
use crate::error::{Fault, Outcome};
use crate::names::Names;
use crate::places::Places;
use crate::prune::Place;

/// The writing connection, and what is remembered of its tables. Nothing that is remembered is
/// relied upon: it is checked, or forgotten when a transaction is undone.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) file: Option<PathBuf>,
    pub(crate) names: Names,
    pub(crate) places: Places,
    pub(crate) swept: Place,
    pub(crate) damaged: Damaged,
    /// Jobs became ready here since a claim last found fewer than it asked for.
    pub(crate) is_stirred: bool,
}

impl Session {
    pub(crate) fn new(connection: Connection, file: Option<PathBuf>) -> Self {
        Self {
            connection,
            file,
            names: Names::default(),
            places: Places::default(),
            swept: Place::default(),
            damaged: Damaged::default(),
            is_stirred: false,
        }
    }

    /// Does something whole or not at all within the transaction. The outer error means that SQLite
    /// has undone the whole transaction, or left it in doubt.
    pub(crate) fn scoped<T>(&mut self, act: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<Outcome<T>> {
        connection::run(&self.connection, "SAVEPOINT queue_scope")?;
        let result = act(self);
        if result.is_ok() {
            connection::run(&self.connection, "RELEASE queue_scope")?;
            return Ok(result);
        }
        self.names.forget();
        if self.connection.is_autocommit() {
            return result.map(Ok);
        }
        // To roll back to a savepoint leaves it open.
        connection::run(&self.connection, "ROLLBACK TO queue_scope")?;
        connection::run(&self.connection, "RELEASE queue_scope")?;
        Ok(result)
    }

    /// The error for the caller.
    pub(crate) fn error(&self, fault: Fault, operation: &str) -> Error {
        fault.into_error(operation, self.file.as_deref())
    }
}

/// The time of a request: the caller's, or the clock of this machine, which is the clock of all
/// processes that can open the file.
pub(crate) fn time(now: Option<Timestamp>) -> Timestamp {
    now.unwrap_or_else(Timestamp::now)
}
