//! The errors of failed attempts.

use std::time::Duration;

use queue_core::backend::AttemptError;
use queue_core::{JobId, Result, Timestamp};
use redb::ReadableTable;

use super::{AsId as _, Live, duration, length, time, worker_id};
use crate::error::Doing as _;
use crate::layout::{ErrorKey, ErrorValue};
use crate::tables::Tables;

/// Reads the errors of a job's failed attempts, oldest first.
pub(crate) fn attempt_errors(
    errors: &impl ReadableTable<ErrorKey, ErrorValue>,
    id: JobId,
) -> Result<Vec<AttemptError>> {
    let rows = errors.range((id.as_id(), 0)..=(id.as_id(), u32::MAX)).doing("read a job's errors")?;
    let read = |row| {
        let (key, value): (redb::AccessGuard<'_, ErrorKey>, redb::AccessGuard<'_, ErrorValue>) = row;
        let ((_, attempt), (at, error, ran_for, worker)) = (key.value(), value.value());
        let error = AttemptError::new(attempt, time(at)?, error.to_owned());
        Ok(error.duration(ran_for.map(duration)).worker(worker.map(worker_id)))
    };
    rows.map(|row| row.doing("read a job's errors").and_then(read)).collect()
}

impl Tables<'_> {
    /// Records the error of the current attempt, with the worker of its lease.
    pub(crate) fn add_error(
        &mut self,
        id: JobId,
        live: &Live,
        now: Timestamp,
        error: &str,
        ran_for: Option<Duration>,
    ) -> Result<()> {
        let worker = live.lease.as_ref().map(|lease| lease.worker.as_id());
        self.errors.put((id.as_id(), live.attempt), (now.as_micros(), error, ran_for.map(length), worker))
    }
}
