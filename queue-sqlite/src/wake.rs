//! Noticing what other processes commit.

use std::time::{Duration, Instant};

use rusqlite::Connection;

const DATA_VERSION: &str = include_str!("sql/data_version.sql");

/// Looks for commits of other connections, which no hint tells of.
pub(crate) struct ForeignCommits {
    interval: Duration,
    last_look: Instant,
    /// Made anew with the connection, because the number means nothing to another one.
    version: Option<i64>,
}

impl ForeignCommits {
    /// Those after now.
    pub(crate) fn new(interval: Duration, connection: &Connection) -> Self {
        Self { interval, last_look: Instant::now(), version: data_version(connection).ok() }
    }

    /// Whether there were some since the last look; not looked at more often than the interval says.
    pub(crate) fn appeared(&mut self, connection: &Connection, now: Instant) -> bool {
        // The wait for mail may end a little early, and a look that is skipped comes a whole
        // interval late.
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

/// A number that changes with each commit of another connection, and with none of this one.
pub(crate) fn data_version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached(DATA_VERSION)?.query_row([], |row| row.get(0))
}
