//! The life of a worker.

use std::time::Duration;

use crate::{JobId, Progress, Timestamp, Token, WorkerId};

/// Enter a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegisterRequest {
    /// The time; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker's id, never used before.
    pub worker: WorkerId,
    /// A name for people, e.g. host and process id.
    pub name: String,
    /// How long after its last heartbeat the worker is given up.
    pub expiry: Duration,
}

impl RegisterRequest {
    /// By the backend's clock.
    #[must_use]
    pub fn new(worker: WorkerId, name: impl Into<String>, expiry: Duration) -> Self {
        Self { now: None, worker, name: name.into(), expiry }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// Say that a worker lives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HeartbeatRequest {
    /// The time; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker.
    pub worker: WorkerId,
    /// How far its jobs have come, for those that said something new.
    pub progress: Vec<ProgressReport>,
}

impl HeartbeatRequest {
    /// By the backend's clock, with nothing to report.
    #[must_use]
    pub const fn new(worker: WorkerId) -> Self {
        Self { now: None, worker, progress: Vec::new() }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// How far one job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgressReport {
    /// The lease under which it runs.
    pub token: Token,
    /// What its handler said.
    pub progress: Progress,
}

impl ProgressReport {
    /// What the handler of the job under this lease said.
    #[must_use]
    pub const fn new(token: Token, progress: Progress) -> Self {
        Self { token, progress }
    }
}

/// What a worker should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartbeatReply {
    /// Whether the worker's own row had expired when the heartbeat came.
    pub beat: Beat,
    /// Jobs of this worker's leases that somebody wants cancelled.
    pub cancels: Vec<JobId>,
    /// Live leases of this worker, so that it notices one that it lost, or forgot.
    pub leases: u64,
    /// How long until the first waiting job of all queues is due, if the backend knows of one.
    pub next_due: Option<Duration>,
}

impl HeartbeatReply {
    /// A reply.
    #[must_use]
    pub const fn new(beat: Beat, cancels: Vec<JobId>, leases: u64, next_due: Option<Duration>) -> Self {
        Self { beat, cancels, leases, next_due }
    }
}

/// Whether a heartbeat came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beat {
    /// Before the worker's expiry.
    InTime,
    /// After it, though nobody had given the worker up yet. Then others may be late for the same
    /// reason (a clock that jumped, a storage that was blocked): the worker must wait a full expiry
    /// by its monotonic clock before it rescues anyone.
    Late,
}

/// Take a worker's leave: it makes no further request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetireRequest {
    /// The worker.
    pub worker: WorkerId,
}

impl RetireRequest {
    /// Retire this worker.
    #[must_use]
    pub const fn new(worker: WorkerId) -> Self {
        Self { worker }
    }
}
