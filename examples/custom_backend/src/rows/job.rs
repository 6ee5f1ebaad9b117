//! The row of a job, which never changes.

use queue_core::{Attributes, Backoff, JobId, JobSpec, Kind, Payload, QueueName, Result, Timestamp};
use redb::ReadableTable;

use super::{AsId as _, duration, job_id, length, time};
use crate::error::{Doing as _, Stored as _};
use crate::layout::{Id, JobValue};
use crate::tables::Tables;

/// A submitted job, and the time of its insert. Its `run_at` is always set.
#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) spec: JobSpec,
    pub(crate) created_at: Timestamp,
}

/// Reads a job.
pub(crate) fn job(jobs: &impl ReadableTable<Id, JobValue>, id: JobId) -> Result<Option<JobRow>> {
    let row = jobs.get(id.as_id()).doing("read a job")?;
    row.map(|row| JobRow::read(id.as_id(), row.value())).transpose()
}

impl JobRow {
    /// Reads a row. The payload is not parsed, because it was checked before its insert.
    pub(crate) fn read<'v>(id: Id, value: <JobValue as redb::Value>::SelfType<'v>) -> Result<Self> {
        let (kind, queue, payload, created_at, run_at, max_retries, priority, timeout, backoff, attributes) =
            value;
        let spec = JobSpec::new(job_id(id), Kind::new(kind).stored()?, Payload::from_stored(payload))
            .run_at(time(run_at)?)
            .max_retries(max_retries)
            .priority(priority)
            .timeout(duration(timeout))
            .queue(QueueName::new(queue).stored()?)
            .backoff(
                backoff
                    .map(|(base, cap, jitter)| {
                        Backoff::from_stored(duration(base), duration(cap), jitter).stored()
                    })
                    .transpose()?,
            )
            .attributes(attributes.map(Attributes::from_stored));
        Ok(Self { spec, created_at: time(created_at)? })
    }
}

impl Tables<'_> {
    /// Stores a new job.
    pub(crate) fn add_job(&mut self, spec: &JobSpec, created_at: Timestamp) -> Result<()> {
        let backoff =
            spec.backoff.map(|backoff| (length(backoff.base()), length(backoff.cap()), backoff.jitter()));
        let value = (
            spec.kind.as_str(),
            spec.queue.as_str(),
            spec.payload.as_str(),
            created_at.as_micros(),
            spec.run_at.unwrap_or(created_at).as_micros(),
            spec.max_retries,
            spec.priority,
            length(spec.timeout),
            backoff,
            spec.attributes.as_ref().map(Attributes::as_str),
        );
        self.jobs.put(spec.id.as_id(), value)
    }
}
