//! Ending leases.

use std::time::Duration;

use crate::{State, Timestamp, Token, WorkerId};

/// End leases of a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SettleRequest {
    /// The time of the settle; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker that settles; for messages only, the tokens decide.
    pub worker: WorkerId,
    /// The leases, each at most once.
    pub settlements: Vec<Settlement>,
}

impl SettleRequest {
    /// By the backend's clock.
    #[must_use]
    pub const fn new(worker: WorkerId, settlements: Vec<Settlement>) -> Self {
        Self { now: None, worker, settlements }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// One lease and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settlement {
    /// The lease.
    pub token: Token,
    /// How it ends.
    pub verdict: Verdict,
}

impl Settlement {
    /// Ends this lease so.
    #[must_use]
    pub const fn new(token: Token, verdict: Verdict) -> Self {
        Self { token, verdict }
    }
}

/// What becomes of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is `completed`, with a result if there is one.
    Complete(Completion),
    /// The attempt failed: the job is `retrying` until `delay` has passed, or `dead` if this was its
    /// last permitted attempt. The error is recorded for the attempt.
    Retry {
        /// What went wrong.
        error: String,
        /// How long to wait.
        delay: Duration,
    },
    /// The job is `dead`. The error is recorded for the attempt.
    Bury {
        /// Why.
        error: String,
    },
    /// The attempt is refunded; the job is `scheduled` until `delay` has passed, or `ready` at once
    /// with `run_at` now if the delay is zero.
    Snooze {
        /// How long to wait.
        delay: Duration,
    },
    /// The job is `cancelled`.
    Cancel {
        /// Why; kept as the error of the outcome.
        reason: String,
    },
    /// The job was not started: the attempt is refunded, and it is `ready` with its `run_at` unchanged.
    Release,
}

/// What a completed job leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Completion {
    /// The bytes of the result.
    pub result: Option<Vec<u8>>,
}

impl Completion {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { result: None }
    }

    /// With this result.
    #[must_use]
    pub fn result(mut self, result: impl Into<Option<Vec<u8>>>) -> Self {
        self.result = result.into();
        self
    }
}

impl Verdict {
    /// The state in which the verdict ends the job for good; `None` if the job lives on, or dies only
    /// on its last attempt.
    #[must_use]
    pub const fn final_state(&self) -> Option<State> {
        match self {
            Self::Complete(_) => Some(State::Completed),
            Self::Bury { .. } => Some(State::Dead),
            Self::Cancel { .. } => Some(State::Cancelled),
            Self::Retry { .. } | Self::Snooze { .. } | Self::Release => None,
        }
    }

    /// Whether a job that ended as `outcome` under this very token ended by this verdict: then a
    /// settle that is repeated is [`Done`](Settled::Done).
    #[must_use]
    pub const fn ended_as(&self, outcome: State) -> bool {
        matches!(
            (self, outcome),
            (Self::Complete(_), State::Completed)
                | (Self::Bury { .. } | Self::Retry { .. }, State::Dead)
                | (Self::Cancel { .. }, State::Cancelled)
        )
    }
}

/// The answer to one settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// The lease is ended as asked.
    Done,
    /// The lease was not the job's own any more; nothing was changed.
    LeaseLost,
}
