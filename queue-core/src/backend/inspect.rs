//! Reading jobs.

use async_trait::async_trait;

use crate::{JobId, JobSpec, Kind, Progress, QueueName, Result, State, Timestamp};

/// Reads jobs, without ever holding up those that write.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Each of these jobs as it stands, in the order of `ids`; `None` for what does not exist.
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>>;

    /// A page of jobs in the order of their ids.
    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>>;
}

/// A page of jobs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListRequest {
    /// Only jobs in this state.
    pub state: Option<State>,
    /// Only jobs of this queue.
    pub queue: Option<QueueName>,
    /// Only jobs of this kind.
    pub kind: Option<Kind>,
    /// Only jobs with a greater id: the last id of the page before.
    pub after: Option<JobId>,
    /// The most jobs.
    pub limit: u32,
}

impl ListRequest {
    /// The first `limit` jobs.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Only jobs in this state.
    #[must_use]
    pub const fn state(mut self, state: State) -> Self {
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

    /// Only jobs behind this one: the last of the page before.
    #[must_use]
    pub const fn after(mut self, id: JobId) -> Self {
        self.after = Some(id);
        self
    }
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobRecord {
    /// What was submitted; its `run_at` is the time first set, which is that of the insert if the job came
    /// without one.
    pub job: JobSpec,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// When an unfinished job may run. Of a finished one it says nothing.
    pub run_at: Timestamp,
    /// Attempts charged so far.
    pub attempt: u32,
    /// What its running handler said of its progress.
    pub progress: Option<Progress>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The result of a completed job, if it left one.
    pub result: Option<Vec<u8>>,
    /// Why a dead or cancelled job ended.
    pub error: Option<String>,
    /// What went wrong in each failed attempt, oldest first.
    pub errors: Vec<AttemptError>,
}

impl JobRecord {
    /// A job that was never claimed and did not end.
    #[must_use]
    pub const fn new(job: JobSpec, created_at: Timestamp, state: State, run_at: Timestamp) -> Self {
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

    /// Charged so many attempts.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// With what its handler said of its progress.
    #[must_use]
    pub fn progress(mut self, progress: Option<Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Ended then.
    #[must_use]
    pub fn finished_at(mut self, finished_at: Option<Timestamp>) -> Self {
        self.finished_at = finished_at;
        self
    }

    /// With this result.
    #[must_use]
    pub fn result(mut self, result: Option<Vec<u8>>) -> Self {
        self.result = result;
        self
    }

    /// Dead or cancelled for this reason.
    #[must_use]
    pub fn error(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }

    /// With what went wrong in its attempts, oldest first.
    #[must_use]
    pub fn errors(mut self, errors: Vec<AttemptError>) -> Self {
        self.errors = errors;
        self
    }
}

/// What went wrong in an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptError {
    /// The attempt: 1, 2, …
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// The error.
    pub error: String,
}

impl AttemptError {
    /// An attempt that ended so.
    #[must_use]
    pub fn new(attempt: u32, at: Timestamp, error: impl Into<String>) -> Self {
        Self { attempt, at, error: error.into() }
    }
}
