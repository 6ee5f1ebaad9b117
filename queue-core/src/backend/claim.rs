//! Taking ready jobs for a worker.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::DEFAULT_LEASE_GRACE;
use crate::{Attributes, Backoff, ClaimId, JobSpec, Kind, Payload, QueueName, Timestamp, Token, WorkerId};

/// Take up to `limit` ready jobs of a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The time of the claim; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker that will hold the leases.
    pub worker: WorkerId,
    /// The name of this claim, used once.
    pub claim: ClaimId,
    /// The queue.
    pub queue: QueueName,
    /// The kinds that the worker handles, in any order; others are passed over. A job is taken once
    /// even if its kind is named twice.
    pub kinds: Arc<[Kind]>,
    /// The most jobs.
    pub limit: u32,
    /// The most jobs on their last permitted attempt; such a job must start at once.
    pub last_attempts: u32,
    /// How far the lease's deadline lies behind the job's own timeout.
    pub grace: Duration,
}

impl ClaimRequest {
    /// By the backend's clock, with the default grace; any of the jobs may be on its last attempt.
    #[must_use]
    pub fn new(
        worker: WorkerId,
        claim: ClaimId,
        queue: QueueName,
        kinds: impl Into<Arc<[Kind]>>,
        limit: u32,
    ) -> Self {
        Self {
            now: None,
            worker,
            claim,
            queue,
            kinds: kinds.into(),
            limit,
            last_attempts: limit,
            grace: DEFAULT_LEASE_GRACE,
        }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// What a claim took.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClaimReply {
    /// The jobs, in the order in which they should start.
    pub jobs: Vec<ClaimedJob>,
    /// How long until the first waiting job of this queue is due, if the backend knows of one: the
    /// worker may sleep until then, so `None` is better than the time of a later job, or of another
    /// queue.
    pub next_due: Option<Duration>,
}

impl ClaimReply {
    /// A reply with these jobs.
    #[must_use]
    pub const fn new(jobs: Vec<ClaimedJob>, next_due: Option<Duration>) -> Self {
        Self { jobs, next_due }
    }
}

/// A job under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimedJob {
    /// The lease's token.
    pub token: Token,
    /// The job's kind.
    pub kind: Kind,
    /// The job's queue.
    pub queue: QueueName,
    /// Higher is more urgent.
    pub priority: i16,
    /// When it was to run.
    pub run_at: Timestamp,
    /// The attempt that this lease is charged for: 1, 2, …
    pub attempt: u32,
    /// How often it is tried again.
    pub max_retries: u16,
    /// How long the attempt may take.
    pub timeout: Duration,
    /// When it is tried again; `None` leaves that to the worker.
    pub backoff: Option<Backoff>,
    /// The exact JSON text.
    pub payload: Payload,
    /// What is stored with it beside the payload.
    pub attributes: Option<Attributes>,
}

impl ClaimedJob {
    /// A stored job under a lease of this claim. `attempt` is the one that the lease is charged
    /// for, and `run_at` when it was to run this time.
    #[must_use]
    pub fn new(claim: ClaimId, attempt: u32, run_at: Timestamp, job: JobSpec) -> Self {
        Self {
            token: Token { claim, job: job.id },
            kind: job.kind,
            queue: job.queue,
            priority: job.priority,
            run_at,
            attempt,
            max_retries: job.max_retries,
            timeout: job.timeout,
            backoff: job.backoff,
            payload: job.payload,
            attributes: job.attributes,
        }
    }

    /// Whether a failure now is the end of the job.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }
}

/// Ask for the live leases of one claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeasesRequest {
    /// The worker that claimed.
    pub worker: WorkerId,
    /// The claim.
    pub claim: ClaimId,
}

impl LeasesRequest {
    /// The leases of this claim.
    #[must_use]
    pub const fn new(worker: WorkerId, claim: ClaimId) -> Self {
        Self { worker, claim }
    }
}
