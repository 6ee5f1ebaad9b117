//! Reads of jobs.

use std::time::Duration;

use async_trait::async_trait;

use crate::{JobId, JobSpec, JobState, Kind, Progress, QueueName, Result, Timestamp, WorkerId};

/// Reads jobs. A read must never block a write.
///
/// If a stored job cannot be read, the whole read fails with
/// [`Corrupt`](crate::ErrorKind::Corrupt), and the message names the job, because an operator must
/// find its row. A claim skips such a job instead.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Returns the current record of each job, in the order of `ids`. `None` for a job that does
    /// not exist.
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>>;

    /// Returns a page of jobs in the order of their ids.
    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>>;

    /// Returns, for each kind with ready jobs in one of these queues, the job that a claim takes
    /// next, in any order. A paused queue has none. Its cost must depend on the number of kinds,
    /// and not on the number of jobs, because workers call it regularly.
    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>>;
}

/// The first ready job of a kind in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NextReady {
    /// The queue.
    pub queue: QueueName,
    /// The kind.
    pub kind: Kind,
    /// The job.
    pub job: JobId,
}

impl NextReady {
    /// The first ready job of this kind in the queue.
    #[must_use]
    pub const fn new(queue: QueueName, kind: Kind, job: JobId) -> Self {
        Self { queue, kind, job }
    }
}

/// A request for a page of jobs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListRequest {
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs of this queue.
    pub queue: Option<QueueName>,
    /// Only jobs of this kind.
    pub kind: Option<Kind>,
    /// Only jobs with a greater id. Set it to the last id of the page before.
    pub after: Option<JobId>,
    /// The maximum number of jobs.
    pub limit: u32,
}

impl ListRequest {
    /// Asks for the first `limit` jobs.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Only jobs in this state.
    #[must_use]
    pub const fn state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only jobs of this queue.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Only jobs of this kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Only jobs with a greater id than this, the last id of the page before.
    #[must_use]
    pub const fn after(mut self, id: JobId) -> Self {
        self.after = Some(id);
        self
    }
}

/// A job and its current state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobRecord {
    /// The job as it was submitted. Its `run_at` is never `None`: if the job was submitted without
    /// one, it is the time of the insert.
    pub job: JobSpec,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Its state.
    pub state: JobState,
    /// When an unfinished job may run. It has no meaning for a finished job.
    pub run_at: Timestamp,
    /// The number of attempts charged so far. It may be more than the job's retries allow,
    /// because a [retry by hand](super::Manage::retry) does not reset it.
    pub attempt: u32,
    /// The progress that its running handler reported last.
    pub progress: Option<Progress>,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
    /// The result of a completed job, if it has one.
    pub result: Option<Vec<u8>>,
    /// Why the job is dead or cancelled.
    pub error: Option<String>,
    /// The errors of its failed attempts, oldest first.
    pub errors: Vec<AttemptError>,
}

impl JobRecord {
    /// An unfinished job that was never claimed.
    #[must_use]
    pub const fn new(job: JobSpec, created_at: Timestamp, state: JobState, run_at: Timestamp) -> Self {
        Self {
            job,
            created_at,
            state,
            run_at,
            attempt: 0,
            progress: None,
            finished_at: None,
            result: None,
            error: None,
            errors: Vec::new(),
        }
    }

    /// Sets the number of attempts charged.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the progress that its handler reported.
    #[must_use]
    pub fn progress(mut self, progress: Option<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Sets when it was finished.
    #[must_use]
    pub fn finished_at(mut self, finished_at: Option<Timestamp>) -> Self {
        self.finished_at = finished_at;
        self
    }

    /// Sets its result.
    #[must_use]
    pub fn result(mut self, result: Option<Vec<u8>>) -> Self {
        self.result = result;
        self
    }

    /// Sets why it is dead or cancelled.
    #[must_use]
    pub fn error(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }

    /// Sets the errors of its failed attempts, oldest first.
    #[must_use]
    pub fn errors(mut self, errors: Vec<AttemptError>) -> Self {
        self.errors = errors;
        self
    }
}

/// The error of a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptError {
    /// The attempt: 1, 2, …
    pub attempt: u32,
    /// When the attempt ended.
    pub at: Timestamp,
    /// The error.
    pub error: String,
    /// How long its handler ran, in whole microseconds. `None` if a rescue ended the attempt,
    /// because only the lost worker could measure it.
    pub duration: Option<Duration>,
    /// The worker that had the lease. `None` only if the storage no longer knows it.
    pub worker: Option<WorkerId>,
}

impl AttemptError {
    /// The error of this attempt, which ended at `at`.
    #[must_use]
    pub fn new(attempt: u32, at: Timestamp, error: impl Into<String>) -> Self {
        Self { attempt, at, error: error.into(), duration: None, worker: None }
    }

    /// Sets how long its handler ran.
    #[must_use]
    pub const fn duration(mut self, duration: Option<Duration>) -> Self {
        self.duration = duration;
        self
    }

    /// Sets the worker that had the lease.
    #[must_use]
    pub const fn worker(mut self, worker: Option<WorkerId>) -> Self {
        self.worker = worker;
        self
    }
}
