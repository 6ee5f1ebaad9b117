//! Reads stored values and checks each of them.

use std::time::Duration;

use queue_core::{
    Attributes, Backoff, ClaimId, JobId, JobSpec, Kind, Payload, QueueName, Timestamp, UniqueKey, WorkerId,
};
use rusqlite::types::ValueRef;
use rusqlite::{Row, Rows};

use crate::error::{Outcome, corrupt};

pub(crate) fn time(row: &Row<'_>, column: usize) -> Outcome<Timestamp> {
    Timestamp::from_micros(row.get(column)?).map_err(|error| corrupt(error.to_string()))
}

pub(crate) fn time_if_any(row: &Row<'_>, column: usize) -> Outcome<Option<Timestamp>> {
    let micros: Option<i64> = row.get(column)?;
    micros
        .map(|micros| Timestamp::from_micros(micros).map_err(|error| corrupt(error.to_string())))
        .transpose()
}

pub(crate) fn duration(row: &Row<'_>, column: usize) -> Outcome<Duration> {
    micros(row.get(column)?)
}

pub(crate) fn duration_if_any(row: &Row<'_>, column: usize) -> Outcome<Option<Duration>> {
    row.get::<_, Option<i64>>(column)?.map(micros).transpose()
}

pub(crate) fn job_id(row: &Row<'_>, column: usize) -> Outcome<JobId> {
    Ok(JobId::from_bytes(bytes(row, column)?))
}

/// The ids of all rows.
pub(crate) fn job_ids(mut rows: Rows<'_>) -> Outcome<Vec<JobId>> {
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(job_id(row, 0)?);
    }
    Ok(jobs)
}

pub(crate) fn worker_id_if_any(row: &Row<'_>, column: usize) -> Outcome<Option<WorkerId>> {
    Ok(bytes_if_any(row, column)?.map(WorkerId::from_bytes))
}

pub(crate) fn claim_id_if_any(row: &Row<'_>, column: usize) -> Outcome<Option<ClaimId>> {
    Ok(bytes_if_any(row, column)?.map(ClaimId::from_bytes))
}

pub(crate) fn payload(row: &Row<'_>, column: usize) -> Outcome<Payload> {
    let text = row.get_ref(column)?.as_str().map_err(|error| corrupt(format!("a payload: {error}")))?;
    Ok(Payload::from_stored(text))
}

pub(crate) fn attributes(row: &Row<'_>, column: usize) -> Outcome<Option<Attributes>> {
    let text = row.get_ref(column)?.as_str_or_null();
    let text = text.map_err(|error| corrupt(format!("attributes: {error}")))?;
    Ok(text.map(Attributes::from_stored))
}

/// Whether a live row has something to do when its job ends.
pub(crate) fn has_ties(row: &Row<'_>, column: usize) -> Result<bool, rusqlite::Error> {
    Ok(row.get_ref(column)? != ValueRef::Null)
}

/// Reads a backoff from three columns.
pub(crate) fn backoff(row: &Row<'_>, column: usize) -> Outcome<Option<Backoff>> {
    let Some(base) = row.get::<_, Option<i64>>(column)? else {
        return Ok(None);
    };
    let backoff = Backoff::from_stored(micros(base)?, duration(row, column + 1)?, row.get(column + 2)?)
        .map_err(|error| corrupt(error.to_string()))?;
    Ok(Some(backoff))
}

/// Reads a unique key from two columns.
fn unique_key(row: &Row<'_>, column: usize) -> Outcome<Option<UniqueKey>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else {
        return Ok(None);
    };
    Ok(Some(UniqueKey::from_stored(text, duration(row, column + 1)?)))
}

fn micros(micros: i64) -> Outcome<Duration> {
    u64::try_from(micros)
        .map(Duration::from_micros)
        .map_err(|_| corrupt(format!("a duration of {micros} µs")))
}

fn bytes(row: &Row<'_>, column: usize) -> Outcome<[u8; 16]> {
    bytes_if_any(row, column)?.ok_or_else(|| corrupt("an id is missing"))
}

fn bytes_if_any(row: &Row<'_>, column: usize) -> Outcome<Option<[u8; 16]>> {
    let malformed = |_| corrupt("an id is not 16 bytes long");
    let stored =
        row.get_ref(column)?.as_blob_or_null().map_err(|error| corrupt(format!("an id: {error}")))?;
    stored.map(|bytes| <[u8; 16]>::try_from(bytes).map_err(malformed)).transpose()
}

/// A stored job before its names are looked up.
pub(crate) struct Nameless {
    id: JobId,
    priority: i16,
    run_at: Timestamp,
    max_retries: u16,
    timeout: Duration,
    backoff: Option<Backoff>,
    payload: Payload,
    attributes: Option<Attributes>,
    unique: Option<UniqueKey>,
}

impl Nameless {
    /// Adds the names.
    pub(crate) fn named(self, kind: Kind, queue: QueueName) -> JobSpec {
        JobSpec::new(self.id, kind, self.payload)
            .run_at(self.run_at)
            .max_retries(self.max_retries)
            .priority(self.priority)
            .timeout(self.timeout)
            .queue(queue)
            .backoff(self.backoff)
            .attributes(self.attributes)
            .unique(self.unique)
    }
}

/// Reads a job from the columns priority, `run_at`, `max_retries`, timeout, three of the backoff,
/// payload, attributes, and two of the unique key.
pub(crate) fn job(row: &Row<'_>, id: JobId, column: usize) -> Outcome<Nameless> {
    Ok(Nameless {
        id,
        priority: row.get(column)?,
        run_at: time(row, column + 1)?,
        max_retries: row.get(column + 2)?,
        timeout: duration(row, column + 3)?,
        backoff: backoff(row, column + 4)?,
        payload: payload(row, column + 7)?,
        attributes: attributes(row, column + 8)?,
        unique: unique_key(row, column + 9)?,
    })
}
