//! Keeping the write-ahead log small.
//!
//! SQLite starts the log over once all of it is in the database and nobody reads from it, but its
//! file stays as long as it ever was. One long reader therefore leaves a long file behind.

use std::time::{Duration, Instant};

use super::session::Session;
use crate::config::SqliteConfig;
use crate::connection::LOCK_ATTEMPT;
use crate::file_connection::{LogTruncated, truncate_log};

/// How often a log that is too long is tried to be shortened. Each attempt goes over all of it.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// The limit, and when the log was last tried to be kept to it.
pub(super) struct LogLimit {
    /// `None` where the application makes the checkpoints.
    bytes: Option<u64>,
    last_attempt: Option<Instant>,
}

impl LogLimit {
    pub(super) fn new(config: &SqliteConfig) -> Self {
        Self { bytes: (config.checkpoint_pages > 0).then_some(config.log_bytes), last_attempt: None }
    }

    /// How long until the log has to be shortened; `None` if it is not too long.
    pub(super) fn due_in(&self, session: &Session, now: Instant) -> Option<Duration> {
        if session.log_bytes <= self.bytes? {
            return None;
        }
        let since = self.last_attempt.map_or(BETWEEN_ATTEMPTS, |last| now.saturating_duration_since(last));
        Some(BETWEEN_ATTEMPTS.saturating_sub(since))
    }

    /// Shortens the log if that is due. Waits for no reader and no other writer: if there is one,
    /// the next attempt is made a second later, whether or not there are requests.
    pub(super) fn keep(&mut self, session: &mut Session, now: Instant) {
        if self.due_in(session, now) != Some(Duration::ZERO) {
            return;
        }
        self.last_attempt = Some(now);
        // The log of files that were replaced may be another program's by now. The next request
        // reports it.
        if session.check_files().is_err() {
            return;
        }
        match truncate_at_once(session) {
            Ok(LogTruncated::Wholly | LogTruncated::Blocked) => {}
            Err(error) => {
                tracing::debug!(%error, "the write-ahead log was not shortened; retrying in a second");
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
