//! Reading what is stored, with nothing taken for granted.

use queue_core::backend::error_chain;
use queue_core::{
    Attributes, Backoff, ClaimId, JobId, JobSpec, Kind, Payload, QueueName, State, Timestamp, WorkerId,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::{Outcome, corrupt};
use crate::types::{Id, Interval, Time};

/// A value of a row.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Outcome<T> {
    row.try_get(column).map_err(|error| corrupt(format!("a value is malformed: {}", error_chain(&error))))
}

/// A stored time.
pub(crate) fn time(row: &Row, column: usize) -> Outcome<Timestamp> {
    Ok(get::<Time>(row, column)?.0)
}

/// A stored time that may be absent.
pub(crate) fn time_if_any(row: &Row, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(get::<Option<Time>>(row, column)?.map(|time| time.0))
}

/// A stored job id.
pub(crate) fn job_id(row: &Row, column: usize) -> Outcome<JobId> {
    Ok(JobId::from_bytes(get::<Id>(row, column)?.0))
}

/// A stored claim id that may be absent.
pub(crate) fn claim_id_if_any(row: &Row, column: usize) -> Outcome<Option<ClaimId>> {
    Ok(get::<Option<Id>>(row, column)?.map(|id| ClaimId::from_bytes(id.0)))
}

/// A stored worker id that may be absent.
pub(crate) fn worker_id_if_any(row: &Row, column: usize) -> Outcome<Option<WorkerId>> {
    Ok(get::<Option<Id>>(row, column)?.map(|id| WorkerId::from_bytes(id.0)))
}

/// A stored state.
pub(crate) fn state(row: &Row, column: usize) -> Outcome<State> {
    let word: &str = get(row, column)?;
    state_of(word)
}

/// The state of this name.
pub(crate) fn state_of(word: &str) -> Outcome<State> {
    let found = State::ALL.iter().copied().find(|state| state.as_str() == word);
    found.ok_or_else(|| corrupt(format!("no state is called `{word}`")))
}

/// A stored number of attempts.
pub(crate) fn attempt(row: &Row, column: usize) -> Outcome<u32> {
    let attempt: i32 = get(row, column)?;
    u32::try_from(attempt).map_err(|_| corrupt(format!("the attempt {attempt}")))
}

/// A stored limit of retries.
pub(crate) fn max_retries(row: &Row, column: usize) -> Outcome<u16> {
    let retries: i32 = get(row, column)?;
    u16::try_from(retries).map_err(|_| corrupt(format!("the limit of {retries} retries")))
}

/// A stored count.
pub(crate) fn count(row: &Row, column: usize) -> Outcome<u64> {
    let count: i64 = get(row, column)?;
    u64::try_from(count).map_err(|_| corrupt(format!("the count {count}")))
}

/// A stored kind.
pub(crate) fn kind(row: &Row, column: usize) -> Outcome<Kind> {
    Kind::new(get::<&str>(row, column)?).map_err(|error| corrupt(error.to_string()))
}

/// The stored name of a queue.
pub(crate) fn queue(row: &Row, column: usize) -> Outcome<QueueName> {
    QueueName::new(get::<&str>(row, column)?).map_err(|error| corrupt(error.to_string()))
}

/// A stored payload.
pub(crate) fn payload(row: &Row, column: usize) -> Outcome<Payload> {
    Ok(Payload::from_stored(get::<&str>(row, column)?))
}

/// Stored attributes, or none.
pub(crate) fn attributes(row: &Row, column: usize) -> Outcome<Option<Attributes>> {
    Ok(get::<Option<&str>>(row, column)?.map(Attributes::from_stored))
}

/// A backoff in three columns, or none.
pub(crate) fn backoff(row: &Row, column: usize) -> Outcome<Option<Backoff>> {
    let Some(base) = get::<Option<Interval>>(row, column)? else {
        return Ok(None);
    };
    let cap: Interval = get(row, column + 1)?;
    let jitter: i16 = get(row, column + 2)?;
    let jitter = u8::try_from(jitter).map_err(|_| corrupt(format!("a jitter of {jitter} percent")))?;
    Backoff::new(base.0, cap.0, jitter).map(Some).map_err(|error| corrupt(error.to_string()))
}

/// A stored job in the columns kind, queue, priority, `run_at`, `max_retries`, timeout, three of the backoff,
/// payload, attributes.
pub(crate) fn job(row: &Row, id: JobId, column: usize) -> Outcome<JobSpec> {
    Ok(JobSpec::new(id, kind(row, column)?, payload(row, column + 9)?)
        .queue(queue(row, column + 1)?)
        .priority(get(row, column + 2)?)
        .run_at(time(row, column + 3)?)
        .max_retries(max_retries(row, column + 4)?)
        .timeout(get::<Interval>(row, column + 5)?.0)
        .backoff(backoff(row, column + 6)?)
        .attributes(attributes(row, column + 10)?))
}

/// The one row that an answer has.
pub(crate) fn only(rows: &[Row]) -> Outcome<&Row> {
    match rows {
        [row] => Ok(row),
        rows => Err(corrupt(format!("an answer has {} rows instead of one", rows.len()))),
    }
}
