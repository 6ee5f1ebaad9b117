//! Settlements: how leases end.

use std::time::Duration;

use crate::time::whole_micros;
use crate::{JobSpec, JobState, Timestamp, Token, WorkerId};

/// A request to settle leases of a worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SettleRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The worker that settles, for messages only. The tokens alone decide whether a lease is live.
    pub worker: WorkerId,
    /// The settlements, at most one per lease.
    pub settlements: Vec<Settlement>,
}

impl SettleRequest {
    /// A request by the backend's clock.
    #[must_use]
    pub const fn new(worker: WorkerId, settlements: Vec<Settlement>) -> Self {
        Self { now: None, worker, settlements }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// How one lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settlement {
    /// The lease.
    pub token: Token,
    /// The next state of its job.
    pub verdict: Verdict,
    /// How long the handler ran, in whole microseconds. It is recorded with the error of a failed
    /// attempt. `None` if the handler did not run.
    pub ran_for: Option<Duration>,
}

impl Settlement {
    /// Ends this lease with this verdict.
    #[must_use]
    pub const fn new(token: Token, verdict: Verdict) -> Self {
        Self { token, verdict, ran_for: None }
    }

    /// Sets how long the handler ran (default: `None`). Rounded down to whole microseconds, at most
    /// `i64::MAX` of them, so that every backend stores the same.
    #[must_use]
    pub fn ran_for(mut self, duration: impl Into<Option<Duration>>) -> Self {
        self.ran_for = duration.into().map(whole_micros);
        self
    }
}

/// The next state of a job whose lease is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The job becomes `completed`, with its result. Its follow-ups are inserted in the same
    /// transaction.
    Complete(Completion),
    /// The attempt failed. The job becomes `retrying` until `delay` has passed, or `dead` if this
    /// was its last permitted attempt. The error is recorded for the attempt.
    Retry {
        /// The error of the attempt.
        error: String,
        /// The time until the job may run again.
        delay: Duration,
    },
    /// The job becomes `dead`. The error is recorded for the attempt.
    Bury {
        /// The error of the attempt and of the outcome.
        error: String,
    },
    /// The attempt is refunded, and `run_at` becomes now plus `delay`. The job becomes `scheduled`,
    /// or `ready` if the delay is zero.
    Snooze {
        /// The time until the job may run again.
        delay: Duration,
    },
    /// The job becomes `cancelled`.
    Cancel {
        /// The reason, stored as the error of the outcome.
        reason: String,
    },
    /// The job was not started. The attempt is refunded, and the job becomes `ready` with its
    /// `run_at` unchanged.
    Release,
}

/// The data of a completed job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Completion {
    /// The bytes of the result, if there is one.
    pub result: Option<Vec<u8>>,
    /// The jobs that are inserted in the transaction that completes the job. It is empty if the
    /// backend does not declare [`follow_ups`](crate::backend::Capabilities::follow_ups).
    pub follow_ups: Vec<JobSpec>,
}

impl Completion {
    /// A completion without a result.
    #[must_use]
    pub const fn new() -> Self {
        Self { result: None, follow_ups: Vec::new() }
    }

    /// Sets the result.
    #[must_use]
    pub fn result(mut self, result: impl Into<Option<Vec<u8>>>) -> Self {
        self.result = result.into();
        self
    }

    /// Sets the follow-ups.
    #[must_use]
    pub fn follow_ups(mut self, jobs: Vec<JobSpec>) -> Self {
        self.follow_ups = jobs;
        self
    }
}

impl Verdict {
    /// Returns the finished state that the verdict always causes. `None` if the job may run again.
    #[must_use]
    pub const fn final_state(&self) -> Option<JobState> {
        match self {
            Self::Complete(_) => Some(JobState::Completed),
            Self::Bury { .. } => Some(JobState::Dead),
            Self::Cancel { .. } => Some(JobState::Cancelled),
            Self::Retry { .. } | Self::Snooze { .. } | Self::Release => None,
        }
    }

    /// Returns whether this verdict can end a job in the state `outcome`. If the same token ended
    /// it, a repeated settle is [`Done`](Settled::Done).
    #[must_use]
    pub const fn ended_as(&self, outcome: JobState) -> bool {
        matches!(
            (self, outcome),
            (Self::Complete(_), JobState::Completed)
                | (Self::Bury { .. } | Self::Retry { .. }, JobState::Dead)
                | (Self::Cancel { .. }, JobState::Cancelled)
        )
    }
}

/// The result of one settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// The lease is settled.
    Done,
    /// The token is not the live one of its job. Nothing was changed.
    LeaseLost,
}
