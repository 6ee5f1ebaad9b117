//! Moves finished jobs to the outcomes and records errors of attempts.

use std::sync::LazyLock;
use std::time::Duration;

use queue_core::backend::WakeHints;
use queue_core::{JobState, Timestamp, saturating_micros};
use rusqlite::Connection;

use crate::error::{Outcome, corrupt};
use crate::lists::{Insert, array};
use crate::watched_jobs::WatchedJobs;
use crate::{state, unique_keys};

const OUTCOME_COLUMNS: usize = 7;
const ERROR_COLUMNS: usize = 6;

static OUTCOME_INSERT: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(include_str!("sql/outcome_insert.sql"), OUTCOME_COLUMNS));
static ERROR_INSERT: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(include_str!("sql/attempt_error_insert.sql"), ERROR_COLUMNS));
const LIVE_DELETE: &str = include_str!("sql/live_delete.sql");

/// A job and its outcome.
pub(crate) struct Finish<'a> {
    pub(crate) seq: i64,
    pub(crate) state: JobState,
    pub(crate) attempt: u32,
    /// The claim that finished the job; `None` if a cancel or a rescue did.
    pub(crate) claim: Option<[u8; 16]>,
    pub(crate) error: Option<&'a str>,
    pub(crate) result: Option<&'a [u8]>,
    pub(crate) has_ties: bool,
}

/// The error of an attempt.
pub(crate) struct AttemptFailure<'a> {
    pub(crate) seq: i64,
    pub(crate) attempt: u32,
    pub(crate) error: &'a str,
    pub(crate) ran_for: Option<Duration>,
    /// The number of the worker that has the lease.
    pub(crate) worker: Option<i64>,
}

/// Moves jobs from the live rows to the outcomes.
pub(crate) fn finish(
    connection: &Connection,
    watched: &WatchedJobs,
    now: Timestamp,
    jobs: &[Finish<'_>],
    hints: &mut WakeHints,
) -> Outcome<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let deleted = connection.prepare_cached(LIVE_DELETE)?.execute([array(jobs.iter().map(|job| job.seq))])?;
    if deleted != jobs.len() {
        return Err(corrupt("a job that ends is not live, or ends twice"));
    }
    OUTCOME_INSERT.run(connection, jobs, OUTCOME_COLUMNS, |statement, from, job| {
        statement.raw_bind_parameter(from, job.seq)?;
        statement.raw_bind_parameter(from + 1, state::number(job.state))?;
        statement.raw_bind_parameter(from + 2, now.as_micros())?;
        statement.raw_bind_parameter(from + 3, job.attempt)?;
        statement.raw_bind_parameter(from + 4, job.claim)?;
        statement.raw_bind_parameter(from + 5, job.error)?;
        statement.raw_bind_parameter(from + 6, job.result)
    })?;
    watched.announce(jobs.iter().map(|job| job.seq), hints);
    let tied: Vec<i64> = jobs.iter().filter(|job| job.has_ties).map(|job| job.seq).collect();
    if tied.is_empty() { Ok(()) } else { unique_keys::release(connection, &tied, now) }
}

pub(crate) fn record_failures(
    connection: &Connection,
    now: Timestamp,
    failures: &[AttemptFailure<'_>],
) -> Outcome<()> {
    ERROR_INSERT.run(connection, failures, ERROR_COLUMNS, |statement, from, failure| {
        statement.raw_bind_parameter(from, failure.seq)?;
        statement.raw_bind_parameter(from + 1, failure.attempt)?;
        statement.raw_bind_parameter(from + 2, now.as_micros())?;
        statement.raw_bind_parameter(from + 3, failure.ran_for.map(saturating_micros))?;
        statement.raw_bind_parameter(from + 4, failure.error)?;
        statement.raw_bind_parameter(from + 5, failure.worker)
    })?;
    Ok(())
}
