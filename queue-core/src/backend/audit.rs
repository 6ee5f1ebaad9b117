//! The raw rows of a backend, which the conformance kit checks.

use async_trait::async_trait;

use crate::{ClaimId, JobId, JobState, Kind, QueueName, Result, Timestamp, WorkerId};

/// Returns all raw rows, for tests and for diagnosis. There is no limit on their number.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Returns all rows in one snapshot, each table in the order of its ids.
    ///
    /// # To be correct
    /// Rows must be returned as they are stored, without repair, because the kit looks for wrong
    /// rows.
    async fn stored(&self) -> Result<Stored>;
}

/// The rows of a backend.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stored {
    /// The ids of all jobs.
    pub jobs: Vec<JobId>,
    /// The rows of unfinished jobs.
    pub live: Vec<LiveRow>,
    /// The rows of finished jobs.
    pub outcomes: Vec<OutcomeRow>,
    /// The workers that are registered and neither lost nor retired.
    pub workers: Vec<WorkerId>,
    /// The unique keys that are held, in the order of their kinds and texts. Empty if the backend
    /// supports none.
    pub unique_keys: Vec<KeyRow>,
}

impl Stored {
    /// These rows.
    #[must_use]
    pub const fn new(
        jobs: Vec<JobId>,
        live: Vec<LiveRow>,
        outcomes: Vec<OutcomeRow>,
        workers: Vec<WorkerId>,
    ) -> Self {
        Self { jobs, live, outcomes, workers, unique_keys: Vec::new() }
    }

    /// Sets the unique keys.
    #[must_use]
    pub fn unique_keys(mut self, unique_keys: Vec<KeyRow>) -> Self {
        self.unique_keys = unique_keys;
        self
    }
}

/// A unique key that a job holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRow {
    /// The kind.
    pub kind: Kind,
    /// The text of the key.
    pub key: String,
    /// The job that holds it.
    pub job: JobId,
    /// When a completed job releases it; `None` while the job is unfinished.
    pub until: Option<Timestamp>,
}

impl KeyRow {
    /// The key of an unfinished job.
    #[must_use]
    pub fn new(kind: Kind, key: impl Into<String>, job: JobId) -> Self {
        Self { kind, key: key.into(), job, until: None }
    }

    /// Sets when it is released.
    #[must_use]
    pub fn until(mut self, until: Option<Timestamp>) -> Self {
        self.until = until;
        self
    }
}

/// The row of an unfinished job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveRow {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its priority.
    pub priority: i16,
    /// Its state.
    pub state: JobState,
    /// When it may run.
    pub run_at: Timestamp,
    /// The number of attempts charged so far.
    pub attempt: u32,
    /// The maximum number of retries: that of the job, or more after a retry by hand.
    pub max_retries: u16,
    /// The claim that holds it, while running.
    pub claim: Option<ClaimId>,
    /// The worker that holds it, while running.
    pub worker: Option<WorkerId>,
    /// The deadline of the lease, while running.
    pub deadline: Option<Timestamp>,
    /// Whether it holds a unique key.
    pub is_unique: bool,
}

impl LiveRow {
    /// The row of a job of priority 0 that was never claimed and has no retries.
    #[must_use]
    pub const fn new(id: JobId, queue: QueueName, state: JobState, run_at: Timestamp) -> Self {
        Self {
            id,
            queue,
            priority: 0,
            state,
            run_at,
            attempt: 0,
            max_retries: 0,
            claim: None,
            worker: None,
            deadline: None,
            is_unique: false,
        }
    }

    /// Marks it as the holder of a unique key.
    #[must_use]
    pub const fn unique(mut self, is_unique: bool) -> Self {
        self.is_unique = is_unique;
        self
    }

    /// Sets its state.
    #[must_use]
    pub const fn state(mut self, state: JobState) -> Self {
        self.state = state;
        self
    }

    /// Sets its priority.
    #[must_use]
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the number of attempts charged.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the maximum number of retries.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the claim that holds it.
    #[must_use]
    pub fn claim(mut self, claim: Option<ClaimId>) -> Self {
        self.claim = claim;
        self
    }

    /// Sets the worker that holds it.
    #[must_use]
    pub fn worker(mut self, worker: Option<WorkerId>) -> Self {
        self.worker = worker;
        self
    }

    /// Sets the deadline of its lease.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<Timestamp>) -> Self {
        self.deadline = deadline;
        self
    }
}

/// The row of a finished job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutcomeRow {
    /// The job.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// When it was finished.
    pub finished_at: Timestamp,
    /// The number of attempts charged.
    pub attempt: u32,
    /// The maximum number of retries, with or without those that retries by hand have added.
    pub max_retries: u16,
    /// The claim whose settle finished it. `None` if a rescue or a cancel finished it.
    pub claim: Option<ClaimId>,
    /// Its result.
    pub result: Option<Vec<u8>>,
    /// Why it is dead or cancelled.
    pub error: Option<String>,
}

impl OutcomeRow {
    /// The row of a finished job without charged attempts.
    #[must_use]
    pub const fn new(id: JobId, state: JobState, finished_at: Timestamp) -> Self {
        Self { id, state, finished_at, attempt: 0, max_retries: 0, claim: None, result: None, error: None }
    }

    /// Sets its state.
    #[must_use]
    pub const fn state(mut self, state: JobState) -> Self {
        self.state = state;
        self
    }

    /// Sets the number of attempts charged.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the maximum number of retries.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the claim whose settle finished it.
    #[must_use]
    pub fn claim(mut self, claim: Option<ClaimId>) -> Self {
        self.claim = claim;
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
}
