//! Reads stored values and checks each of them.

use queue_core::backend::error_chain;
use queue_core::{
    Attributes, Backoff, ClaimId, JobId, JobSpec, JobState, Kind, Payload, QueueName, Timestamp, UniqueKey,
    WorkerId,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::{Outcome, corrupt};
use crate::types::{Id, Interval, Time};

/// Reads a value of a row.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Outcome<T> {
    row.try_get(column).map_err(|error| corrupt(format!("a value is malformed: {}", error_chain(&error))))
}

/// Reads a time.
pub(crate) fn time(row: &Row, column: usize) -> Outcome<Timestamp> {
    Ok(get::<Time>(row, column)?.0)
}

/// Reads a time or `NULL`.
pub(crate) fn time_if_any(row: &Row, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(get::<Option<Time>>(row, column)?.map(|time| time.0))
}

/// Reads a job id.
pub(crate) fn job_id(row: &Row, column: usize) -> Outcome<JobId> {
    Ok(JobId::from_bytes(get::<Id>(row, column)?.0))
}

/// Reads a claim id or `NULL`.
pub(crate) fn claim_id_if_any(row: &Row, column: usize) -> Outcome<Option<ClaimId>> {
    Ok(get::<Option<Id>>(row, column)?.map(|id| ClaimId::from_bytes(id.0)))
}

/// Reads a worker id or `NULL`.
pub(crate) fn worker_id_if_any(row: &Row, column: usize) -> Outcome<Option<WorkerId>> {
    Ok(get::<Option<Id>>(row, column)?.map(|id| WorkerId::from_bytes(id.0)))
}

/// Reads a state.
pub(crate) fn state(row: &Row, column: usize) -> Outcome<JobState> {
    let word: &str = get(row, column)?;
    state_of(word)
}

/// The state of this name.
pub(crate) fn state_of(word: &str) -> Outcome<JobState> {
    let found = JobState::ALL.iter().copied().find(|state| state.as_str() == word);
    found.ok_or_else(|| corrupt(format!("unknown state `{word}`")))
}

/// Reads a number of attempts.
pub(crate) fn attempt(row: &Row, column: usize) -> Outcome<u32> {
    let attempt: i32 = get(row, column)?;
    u32::try_from(attempt).map_err(|_| corrupt(format!("the attempt {attempt}")))
}

/// Reads a limit of retries.
pub(crate) fn max_retries(row: &Row, column: usize) -> Outcome<u16> {
    let retries: i32 = get(row, column)?;
    u16::try_from(retries).map_err(|_| corrupt(format!("the limit of {retries} retries")))
}

/// Reads a count.
pub(crate) fn count(row: &Row, column: usize) -> Outcome<u64> {
    let count: i64 = get(row, column)?;
    u64::try_from(count).map_err(|_| corrupt(format!("the count {count}")))
}

/// Reads a kind.
pub(crate) fn kind(row: &Row, column: usize) -> Outcome<Kind> {
    Kind::new(get::<&str>(row, column)?).map_err(|error| corrupt(error.to_string()))
}

/// Reads the name of a queue.
pub(crate) fn queue(row: &Row, column: usize) -> Outcome<QueueName> {
    QueueName::new(get::<&str>(row, column)?).map_err(|error| corrupt(error.to_string()))
}

/// Reads a payload.
pub(crate) fn payload(row: &Row, column: usize) -> Outcome<Payload> {
    Ok(Payload::from_stored(get::<&str>(row, column)?))
}

/// Reads attributes or `NULL`.
pub(crate) fn attributes(row: &Row, column: usize) -> Outcome<Option<Attributes>> {
    Ok(get::<Option<&str>>(row, column)?.map(Attributes::from_stored))
}

/// Reads a backoff from three columns.
pub(crate) fn backoff(row: &Row, column: usize) -> Outcome<Option<Backoff>> {
    let Some(base) = get::<Option<Interval>>(row, column)? else {
        return Ok(None);
    };
    let cap: Interval = get(row, column + 1)?;
    let jitter: i16 = get(row, column + 2)?;
    let jitter = u8::try_from(jitter).map_err(|_| corrupt(format!("a jitter of {jitter} percent")))?;
    Backoff::from_stored(base.0, cap.0, jitter).map(Some).map_err(|error| corrupt(error.to_string()))
}

/// Reads a unique key from two columns.
fn unique_key(row: &Row, column: usize) -> Outcome<Option<UniqueKey>> {
    let Some(text) = get::<Option<&str>>(row, column)? else { return Ok(None) };
    Ok(Some(UniqueKey::from_stored(text, get::<Interval>(row, column + 1)?.0)))
}

/// Reads a job from the columns kind, queue, priority, `run_at`, `max_retries`, timeout, three of
/// the backoff, payload, attributes, and two of the unique key.
pub(crate) fn job(row: &Row, id: JobId, column: usize) -> Outcome<JobSpec> {
    Ok(JobSpec::new(id, kind(row, column)?, payload(row, column + 9)?)
        .queue(queue(row, column + 1)?)
        .priority(get(row, column + 2)?)
        .run_at(time(row, column + 3)?)
        .max_retries(max_retries(row, column + 4)?)
        .timeout(get::<Interval>(row, column + 5)?.0)
        .backoff(backoff(row, column + 6)?)
        .attributes(attributes(row, column + 10)?)
        .unique(unique_key(row, column + 11)?))
}

/// Returns the only row; fails if there is any other number of rows.
pub(crate) fn only(rows: &[Row]) -> Outcome<&Row> {
    match rows {
        [row] => Ok(row),
        rows => Err(corrupt(format!("{} rows instead of one", rows.len()))),
    }
}
