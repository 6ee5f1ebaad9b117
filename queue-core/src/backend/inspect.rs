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

/// What went wrong in an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptError {
    /// The attempt: 1, 2, …
    pub attempt: u32,
    /// When it ended.
    pub at: Timestamp,
    /// The error.
    pub error: String,
}
