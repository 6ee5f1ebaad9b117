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

/// The row of an unfinished job.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// The row of a finished job.
#[derive(Debug, Clone, PartialEq, Eq)]
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
