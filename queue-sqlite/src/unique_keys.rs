//! Unique keys: which job holds them, and when they are released.

use queue_core::{JobId, JobSpec, Timestamp};
use rusqlite::{Connection, params};

use crate::error::Outcome;
use crate::lists::array;
use crate::row;

const HOLD: &str = include_str!("sql/unique_key_hold.sql");
const HOLD_AGAIN: &str = include_str!("sql/unique_key_hold_again.sql");
const HOLDER: &str = include_str!("sql/unique_key_holder.sql");
const KEEP: &str = include_str!("sql/unique_key_keep.sql");
const RELEASE: &str = include_str!("sql/unique_key_release.sql");
const PASSED: &str = include_str!("sql/unique_keys_passed.sql");
const PRUNE: &str = include_str!("sql/prune_unique_keys.sql");

/// Gives its unique key to a job, if it has one. Returns the job that holds the key already.
///
/// The transaction holds the lock of a writer, so no other job takes the key between the two
/// statements.
pub(crate) fn hold(
    connection: &Connection,
    kind: i64,
    job: &JobSpec,
    now: Timestamp,
) -> Outcome<Option<JobId>> {
    let Some(key) = job.unique.as_ref().map(queue_core::UniqueKey::as_str) else { return Ok(None) };
    hold_key(connection, kind, key, job.id, now)
}

/// Gives its unique key to a job that was finished, and may have kept the key. Returns another job
/// that holds the key already.
pub(crate) fn hold_again(
    connection: &Connection,
    kind: i64,
    key: &str,
    job: JobId,
    now: Timestamp,
) -> Outcome<Option<JobId>> {
    let holder = hold_key(connection, kind, key, job, now)?;
    if holder != Some(job) {
        return Ok(holder);
    }
    connection.prepare_cached(HOLD_AGAIN)?.execute(params![kind, key])?;
    Ok(None)
}

fn hold_key(
    connection: &Connection,
    kind: i64,
    key: &str,
    job: JobId,
    now: Timestamp,
) -> Outcome<Option<JobId>> {
    let parameters = params![kind, key, job.to_bytes(), now.as_micros()];
    if connection.prepare_cached(HOLD)?.execute(parameters)? == 1 {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(HOLDER)?;
    statement.query_row(params![kind, key], |row| Ok(row::job_id(row, 0)))?.map(Some)
}

/// Releases the keys of jobs that have just been finished, or sets how long they are kept.
pub(crate) fn release(connection: &Connection, jobs: &[i64], now: Timestamp) -> Outcome<()> {
    let jobs = array(jobs.iter().copied());
    let parameters = params![jobs, now.as_micros(), Timestamp::MAX.as_micros()];
    connection.prepare_cached(KEEP)?.execute(parameters)?;
    connection.prepare_cached(RELEASE)?.execute([&jobs])?;
    Ok(())
}

/// Whether there are keys whose time has passed.
pub(crate) fn have_passed(connection: &Connection, now: Timestamp) -> Outcome<bool> {
    Ok(connection.prepare_cached(PASSED)?.exists([now.as_micros()])?)
}

/// Removes keys whose time has passed.
pub(crate) fn prune(connection: &Connection, now: Timestamp) -> Outcome<()> {
    connection.prepare_cached(PRUNE)?.execute([now.as_micros()])?;
    Ok(())
}
