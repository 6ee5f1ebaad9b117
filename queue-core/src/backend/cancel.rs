//! Cancelling jobs.

use crate::{JobId, State, Timestamp};

/// Cancel jobs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CancelRequest {
    /// The time of the cancel; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The jobs, each at most once.
    pub jobs: Vec<JobId>,
    /// What to do about those that run.
    pub if_running: IfRunning,
}

impl CancelRequest {
    /// Cancel these jobs if they have not started.
    #[must_use]
    pub const fn new(jobs: Vec<JobId>) -> Self {
        Self { now: None, jobs, if_running: IfRunning::Leave }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Signal those that run, too.
    #[must_use]
    pub const fn signal_running(mut self) -> Self {
        self.if_running = IfRunning::Signal;
        self
    }
}

/// What to do about a job that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfRunning {
    /// Nothing.
    Leave,
    /// Tell its worker, by a wake-up within the process and by the next heartbeat's reply. A worker
    /// cancels the job's token and settles it as cancelled once it stops.
    Signal,
}

/// What the cancel of one job met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReply {
    /// It had not started; it is cancelled now and never starts.
    Cancelled,
    /// A worker holds its lease.
    Running,
    /// It had ended, in this state.
    Finished(State),
    /// There is no such job.
    NotFound,
}
