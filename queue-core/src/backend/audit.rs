//! The raw rows of a backend, for the kit to check.

use async_trait::async_trait;

use crate::{ClaimId, JobId, QueueName, Result, State, Timestamp, WorkerId};

/// Gives away the raw rows, however many there are: for tests and for finding out what broke.
#[async_trait]
pub trait Audit: Send + Sync {
    /// All rows in one snapshot, each table in the order of its ids.
    ///
    /// # To be correct
    /// What is stored is told as it is, not mended: the kit looks for rows that should not be.
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
    /// The workers that are registered and not given up.
    pub workers: Vec<WorkerId>,
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
        Self { jobs, live, outcomes, workers }
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
    pub state: State,
    /// When it may run.
    pub run_at: Timestamp,
    /// Attempts charged so far.
    pub attempt: u32,
    /// Retries permitted.
    pub max_retries: u16,
    /// The claim that holds it, while running.
    pub claim: Option<ClaimId>,
    /// The worker that holds it, while running.
    pub worker: Option<WorkerId>,
    /// The deadline of the lease, while running.
    pub deadline: Option<Timestamp>,
}

impl LiveRow {
    /// The row of a job of priority 0 that was never claimed and is not tried again.
    #[must_use]
    pub const fn new(id: JobId, queue: QueueName, state: State, run_at: Timestamp) -> Self {
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
        }
    }

    /// In this state.
    #[must_use]
    pub const fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// With this priority.
    #[must_use]
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Charged so many attempts.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Tried again so often.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Held by this claim.
    #[must_use]
    pub fn claim(mut self, claim: Option<ClaimId>) -> Self {
        self.claim = claim;
        self
    }

    /// Held by this worker.
    #[must_use]
    pub fn worker(mut self, worker: Option<WorkerId>) -> Self {
        self.worker = worker;
        self
    }

    /// With this deadline of its lease.
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
    pub state: State,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Attempts charged.
    pub attempt: u32,
    /// Retries permitted.
    pub max_retries: u16,
    /// The claim whose holder ended it; `None` if it was ended for its holder, by a rescue, or had none.
    pub claim: Option<ClaimId>,
    /// Its result.
    pub result: Option<Vec<u8>>,
    /// Why it is dead or cancelled.
    pub error: Option<String>,
}

impl OutcomeRow {
    /// The row of a job that ended so, charged no attempt.
    #[must_use]
    pub const fn new(id: JobId, state: State, finished_at: Timestamp) -> Self {
        Self { id, state, finished_at, attempt: 0, max_retries: 0, claim: None, result: None, error: None }
    }

    /// In this state.
    #[must_use]
    pub const fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Charged so many attempts.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Tried again so often.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Ended by the holder of this claim.
    #[must_use]
    pub fn claim(mut self, claim: Option<ClaimId>) -> Self {
        self.claim = claim;
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
}
