//! Upkeep, in bounded pieces.

use std::time::Duration;

use super::Hint;
use crate::limits::{DEFAULT_DEAD_RETENTION, DEFAULT_IDEMPOTENCY_WINDOW, DEFAULT_RETENTION};
use crate::{State, Timestamp, WorkerId};

/// Do a piece of upkeep. Each part is left out by a limit of zero, or `None`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MaintainRequest {
    /// The time; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// Who asks: a rescue by a worker whose own row has expired, or is gone, takes nothing. Then the
    /// clock may have jumped, or the storage was blocked, and the others are as late as it is.
    pub worker: Option<WorkerId>,
    /// The most waiting jobs to promote.
    pub promote: u32,
    /// The most leases to take back, of dead workers and past their deadline together.
    pub rescue: u32,
    /// What to prune.
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

    /// Asked for by this worker.
    #[must_use]
    pub const fn by(mut self, worker: WorkerId) -> Self {
        self.worker = Some(worker);
        self
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// Which finished jobs are old enough to be removed: those that ended longer ago than the retention
/// of their state, and whose *id* is older than the idempotency window.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prune {
    /// How long completed jobs are kept.
    pub completed: Duration,
    /// How long cancelled jobs are kept.
    pub cancelled: Duration,
    /// How long dead jobs are kept.
    pub dead: Duration,
    /// How long an explicit id protects from a second insert.
    pub idempotency_window: Duration,
    /// The most jobs to remove in one piece.
    pub limit: u32,
}

impl Prune {
    /// The retention of a finished state; `None` for an unfinished one, which is never pruned.
    #[must_use]
    pub const fn retention(&self, state: State) -> Option<Duration> {
        match state {
            State::Completed => Some(self.completed),
            State::Cancelled => Some(self.cancelled),
            State::Dead => Some(self.dead),
            State::Scheduled | State::Ready | State::Running | State::Retrying => None,
        }
    }
}

impl Prune {
    /// Keeps completed jobs for so long.
    #[must_use]
    pub const fn completed(mut self, completed: Duration) -> Self {
        self.completed = completed;
        self
    }

    /// Keeps cancelled jobs for so long.
    #[must_use]
    pub const fn cancelled(mut self, cancelled: Duration) -> Self {
        self.cancelled = cancelled;
        self
    }

    /// Keeps dead jobs for so long.
    #[must_use]
    pub const fn dead(mut self, dead: Duration) -> Self {
        self.dead = dead;
        self
    }

    /// Protects explicit ids for so long.
    #[must_use]
    pub const fn idempotency_window(mut self, idempotency_window: Duration) -> Self {
        self.idempotency_window = idempotency_window;
        self
    }

    /// Removes at most so many jobs in one piece.
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

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaintainReply {
    /// Waiting jobs made ready.
    pub promoted: u64,
    /// Leases taken back whose jobs are ready again.
    pub rescued: u64,
    /// Leases taken back whose jobs are dead now.
    pub died: u64,
    /// Workers given up.
    pub workers_lost: u64,
    /// Jobs removed.
    pub pruned: u64,
    /// What became ready, promoted or rescued, for the cursors of whoever asked. Receivers of wake-ups are
    /// told it as well.
    pub ready: Vec<Hint>,
    /// How long until the first waiting job of all queues is due, if the backend knows of one; zero while
    /// more are due than were promoted.
    pub next_due: Option<Duration>,
}
