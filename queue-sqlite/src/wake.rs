//! Noticing what other processes commit.

use std::time::{Duration, Instant};

use queue_core::JobId;
use rusqlite::Connection;

use crate::error::Outcome;
use crate::row;

const WANTED_CANCELS: &str = include_str!("sql/wanted_cancels.sql");
const DATA_VERSION: &str = include_str!("sql/data_version.sql");

/// Looks for commits of other connections, because no hint announces them.
pub(crate) struct ForeignCommits {
    interval: Duration,
    last_look: Instant,
    /// Belongs to the connection: another connection counts from another number.
    version: Option<i64>,
}

impl ForeignCommits {
    /// Looks for commits after now.
    pub(crate) fn new(interval: Duration, connection: &Connection) -> Self {
        Self { interval, last_look: Instant::now(), version: data_version(connection).ok() }
    }

    /// Whether there were any since the last look. Looks at most once per interval.
    pub(crate) fn appeared(&mut self, connection: &Connection, now: Instant) -> bool {
        // The wait for a request may end a little early. A look that is skipped then would come a
        // whole interval late.
        if now.duration_since(self.last_look) < self.interval / 2 {
            return false;
        }
        self.last_look = now;
        match data_version(connection) {
            Ok(version) => self.version.replace(version) != Some(version),
            // It cannot be known, so nothing may be taken for granted; the next look decides.
            Err(_) => self.version.take().is_some(),
        }
    }
}

/// Returns the running jobs with a cancel request, of all workers of all processes.
pub(crate) fn wanted_cancels(connection: &Connection) -> Outcome<Vec<JobId>> {
    row::job_ids(connection.prepare_cached(WANTED_CANCELS)?.query([])?)
}

/// A number that changes with each commit of another connection, and with none of this one.
pub(crate) fn data_version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached(DATA_VERSION)?.query_row([], |row| row.get(0))
}
