//! Limits the size of the write-ahead log.
//!
//! SQLite restarts the log when the database has all of it and no connection reads from it. The
//! file keeps its largest size, so one long read leaves a long file behind.

use std::time::{Duration, Instant};

use super::session::Session;
use crate::config::SqliteConfig;
use crate::connection::LOCK_ATTEMPT;
use crate::file_connection::{LogTruncated, truncate_log};

/// Interval between two attempts to truncate a long log, because each attempt reads all of it.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// The limit and the time of the last attempt.
pub(super) struct LogLimit {
    /// `None` if the application makes the checkpoints.
    bytes: Option<u64>,
    last_attempt: Option<Instant>,
}

impl LogLimit {
    pub(super) fn new(config: &SqliteConfig) -> Self {
        Self { bytes: (config.checkpoint_pages > 0).then_some(config.log_bytes), last_attempt: None }
    }

    /// Time until the next attempt; `None` if the log is within the limit.
    pub(super) fn due_in(&self, session: &Session, now: Instant) -> Option<Duration> {
        if session.log_bytes <= self.bytes? {
            return None;
        }
        let since = self.last_attempt.map_or(BETWEEN_ATTEMPTS, |last| now.saturating_duration_since(last));
        Some(BETWEEN_ATTEMPTS.saturating_sub(since))
    }

    /// Truncates the log if that is due. Never waits for a reader or another writer: if there is
    /// one, the next attempt is a second later, even without requests.
    pub(super) fn keep(&mut self, session: &mut Session, now: Instant) {
        if self.due_in(session, now) != Some(Duration::ZERO) {
            return;
        }
        self.last_attempt = Some(now);
        // The log of replaced files may belong to another program now. The next request reports it.
        if session.check_files().is_err() {
            return;
        }
        match truncate_at_once(session) {
            Ok(LogTruncated::Wholly | LogTruncated::Blocked) => {}
            Err(error) => {
                tracing::debug!(%error, "the write-ahead log was not truncated; retrying in a second");
            }
        }
        // Measures the log.
        let _ = session.check_files();
    }
}

fn truncate_at_once(session: &Session) -> Result<LogTruncated, rusqlite::Error> {
    session.connection.busy_timeout(Duration::ZERO)?;
    let truncated = truncate_log(&session.connection);
    session.connection.busy_timeout(LOCK_ATTEMPT)?;
    truncated
}
