//! Claims of ready jobs.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::DEFAULT_LEASE_GRACE;
use crate::{Attributes, Backoff, ClaimId, JobSpec, Kind, Payload, QueueName, Timestamp, Token, WorkerId};

/// A request to claim up to `limit` ready jobs of a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker that will hold the leases.
    pub worker: WorkerId,
    /// The id of this claim, never used before.
    pub claim: ClaimId,
    /// The queue.
    pub queue: QueueName,
    /// The kinds that the worker handles, in any order. Jobs of other kinds are skipped. A kind may
    /// be repeated; its jobs are still claimed once.
    pub kinds: Arc<[Kind]>,
    /// The maximum number of jobs.
    pub limit: u32,
    /// The maximum number of jobs on their last permitted attempt. It is limited because such a job
    /// must start at once.
    pub last_attempts: u32,
    /// The time between the job's timeout and the deadline of its lease.
    pub grace: Duration,
}

impl ClaimRequest {
    /// A request by the backend's clock, with the default grace. All jobs may be on their last
    /// attempt.
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

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// The reply to a claim.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClaimReply {
    /// The jobs, in the order in which they should start.
    pub jobs: Vec<ClaimedJob>,
    /// The time until the first waiting job of this queue is due, if the backend knows it. The
    /// worker may sleep until then. Therefore a backend must return `None` rather than the time of
    /// a later job, or of another queue.
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
    /// The token of the lease.
    pub token: Token,
    /// The job's kind.
    pub kind: Kind,
    /// The job's queue.
    pub queue: QueueName,
    /// The job's priority; higher is more urgent.
    pub priority: i16,
    /// The earliest time of this run.
    pub run_at: Timestamp,
    /// The attempt that was charged by this lease: 1, 2, …
    pub attempt: u32,
    /// The maximum number of retries.
    pub max_retries: u16,
    /// The timeout of the attempt.
    pub timeout: Duration,
    /// The job's own backoff; `None` means that the worker decides.
    pub backoff: Option<Backoff>,
    /// The exact JSON text.
    pub payload: Payload,
    /// Its attributes.
    pub attributes: Option<Attributes>,
}

impl ClaimedJob {
    /// A stored job under a lease of this claim. `attempt` is the attempt that was charged by the
    /// lease, and `run_at` the earliest time of this run.
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

    /// Returns whether the job is dead if this attempt fails.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }
}

/// A request for the live leases of one claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeasesRequest {
    /// The worker that claimed.
    pub worker: WorkerId,
    /// The claim.
    pub claim: ClaimId,
}

impl LeasesRequest {
    /// Asks for the leases of this claim.
    #[must_use]
    pub const fn new(worker: WorkerId, claim: ClaimId) -> Self {
        Self { worker, claim }
    }
}
