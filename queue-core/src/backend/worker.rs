//! Registration, heartbeats and retirement of workers.

use std::time::Duration;

use crate::{JobId, Progress, Timestamp, Token, WorkerId};

/// A request to register a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegisterRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker's id, never used before.
    pub worker: WorkerId,
    /// A name for operators, e.g. host and process id.
    pub name: String,
    /// The time after its last heartbeat at which the worker may be marked lost.
    pub expiry: Duration,
}

impl RegisterRequest {
    /// A request by the backend's clock.
    #[must_use]
    pub fn new(worker: WorkerId, name: impl Into<String>, expiry: Duration) -> Self {
        Self { now: None, worker, name: name.into(), expiry }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// A heartbeat: it extends the expiry of a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HeartbeatRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker.
    pub worker: WorkerId,
    /// The progress of its jobs, as far as it changed since the last heartbeat.
    pub progress: Vec<ProgressReport>,
}

impl HeartbeatRequest {
    /// A request by the backend's clock, without progress.
    #[must_use]
    pub const fn new(worker: WorkerId) -> Self {
        Self { now: None, worker, progress: Vec::new() }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// The progress of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgressReport {
    /// The lease under which it runs.
    pub token: Token,
    /// The progress that its handler reported.
    pub progress: Progress,
}

impl ProgressReport {
    /// Reports the progress of the job under this lease.
    #[must_use]
    pub const fn new(token: Token, progress: Progress) -> Self {
        Self { token, progress }
    }
}

/// The reply to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartbeatReply {
    /// Whether the heartbeat was in time.
    pub beat: Beat,
    /// Jobs of this worker's leases whose cancel was requested.
    pub cancels: Vec<JobId>,
    /// The number of live leases of this worker, so that it notices a lease that it does not know
    /// or has lost.
    pub leases: u64,
    /// The time until the first waiting job of all queues is due, if the backend knows it.
    pub next_due: Option<Duration>,
}

impl HeartbeatReply {
    /// A reply.
    #[must_use]
    pub const fn new(beat: Beat, cancels: Vec<JobId>, leases: u64, next_due: Option<Duration>) -> Self {
        Self { beat, cancels, leases, next_due }
    }
}

/// Whether a heartbeat was in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beat {
    /// The heartbeat was before the worker's expiry.
    InTime,
    /// The heartbeat was after the worker's expiry, but the worker was not marked lost. Other
    /// workers may be late for the same reason, such as a clock jump or blocked storage. Therefore
    /// the worker must wait one full expiry by its monotonic clock before it rescues jobs.
    Late,
}

/// A request to retire a worker, which makes no further request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetireRequest {
    /// The worker.
    pub worker: WorkerId,
}

impl RetireRequest {
    /// Retires this worker.
    #[must_use]
    pub const fn new(worker: WorkerId) -> Self {
        Self { worker }
    }
}
