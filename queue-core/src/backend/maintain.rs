//! Bounded upkeep: promote, rescue, prune.

use std::time::Duration;

use super::Hint;
use crate::limits::{DEFAULT_DEAD_RETENTION, DEFAULT_IDEMPOTENCY_WINDOW, DEFAULT_RETENTION};
use crate::{JobState, Timestamp, WorkerId};

/// A request for a bounded amount of upkeep. A limit of zero, or `None`, skips that part.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MaintainRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker that sends the request. If its own row is expired or missing, the rescue takes
    /// nothing: after a clock jump or blocked storage, the other workers are late too.
    pub worker: Option<WorkerId>,
    /// The maximum number of waiting jobs to promote.
    pub promote: u32,
    /// The maximum number of leases to rescue, of dead workers and past their deadline together.
    pub rescue: u32,
    /// The finished jobs to prune.
    pub prune: Option<Prune>,
}

impl MaintainRequest {
    /// Only promotes.
    #[must_use]
    pub const fn promote(limit: u32) -> Self {
        Self { now: None, worker: None, promote: limit, rescue: 0, prune: None }
    }

    /// Only rescues.
    #[must_use]
    pub const fn rescue(limit: u32) -> Self {
        Self { now: None, worker: None, promote: 0, rescue: limit, prune: None }
    }

    /// Only prunes.
    #[must_use]
    pub const fn prune(prune: Prune) -> Self {
        Self { now: None, worker: None, promote: 0, rescue: 0, prune: Some(prune) }
    }

    /// Sets the worker that sends the request.
    #[must_use]
    pub const fn by(mut self, worker: WorkerId) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// Selects the finished jobs to remove. Such a job ended longer ago than the retention of its
/// state, and its *id* is older than the idempotency window.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prune {
    /// How long completed jobs are kept.
    pub completed: Duration,
    /// How long cancelled jobs are kept.
    pub cancelled: Duration,
    /// How long dead jobs are kept.
    pub dead: Duration,
    /// How long an explicit id prevents a second insert.
    pub idempotency_window: Duration,
    /// The maximum number of jobs to remove per request.
    pub limit: u32,
}

impl Prune {
    /// Returns the retention of a finished state. `None` for an unfinished state, which is never
    /// pruned.
    #[must_use]
    pub const fn retention(&self, state: JobState) -> Option<Duration> {
        match state {
            JobState::Completed => Some(self.completed),
            JobState::Cancelled => Some(self.cancelled),
            JobState::Dead => Some(self.dead),
            JobState::Scheduled | JobState::Ready | JobState::Running | JobState::Retrying => None,
        }
    }
}

impl Prune {
    /// Sets how long completed jobs are kept.
    #[must_use]
    pub const fn completed(mut self, completed: Duration) -> Self {
        self.completed = completed;
        self
    }

    /// Sets how long cancelled jobs are kept.
    #[must_use]
    pub const fn cancelled(mut self, cancelled: Duration) -> Self {
        self.cancelled = cancelled;
        self
    }

    /// Sets how long dead jobs are kept.
    #[must_use]
    pub const fn dead(mut self, dead: Duration) -> Self {
        self.dead = dead;
        self
    }

    /// Sets how long an explicit id prevents a second insert.
    #[must_use]
    pub const fn idempotency_window(mut self, idempotency_window: Duration) -> Self {
        self.idempotency_window = idempotency_window;
        self
    }

    /// Sets the maximum number of jobs to remove per request (default: 1000).
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl Default for Prune {
    fn default() -> Self {
        Self {
            completed: DEFAULT_RETENTION,
            cancelled: DEFAULT_RETENTION,
            dead: DEFAULT_DEAD_RETENTION,
            idempotency_window: DEFAULT_IDEMPOTENCY_WINDOW,
            limit: 1000,
        }
    }
}

/// The reply to a request for upkeep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaintainReply {
    /// The number of waiting jobs that became ready.
    pub promoted: u64,
    /// The number of rescued leases whose jobs are ready again.
    pub rescued: u64,
    /// The number of rescued leases whose jobs are dead.
    pub died: u64,
    /// The number of workers that were marked lost.
    pub workers_lost: u64,
    /// The number of jobs removed.
    pub pruned: u64,
    /// One hint per queue and priority of the promoted and rescued jobs. The same hints are
    /// announced to subscribers.
    pub ready: Vec<Hint>,
    /// The time until the first waiting job of all queues is due, if the backend knows it. Zero
    /// while more jobs are due than were promoted.
    pub next_due: Option<Duration>,
}
