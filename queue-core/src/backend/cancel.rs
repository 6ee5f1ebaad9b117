//! Cancels of jobs.

use serde::Serialize;

use crate::{JobId, JobState, Timestamp};

/// A request to cancel jobs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CancelRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The jobs, each at most once.
    pub jobs: Vec<JobId>,
    /// How to treat the running jobs among them.
    pub if_running: IfRunning,
}

impl CancelRequest {
    /// Cancels these jobs if they have not started.
    #[must_use]
    pub const fn new(jobs: Vec<JobId>) -> Self {
        Self { now: None, jobs, if_running: IfRunning::Leave }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Also signals the running jobs among them.
    #[must_use]
    pub const fn signal_running(mut self) -> Self {
        self.if_running = IfRunning::Signal;
        self
    }
}

/// How to treat a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IfRunning {
    /// The job is not changed.
    Leave,
    /// The worker is notified by a wake-up within the process and by its next heartbeat reply. It
    /// cancels the token of the handler, and settles the job as cancelled when the handler stops.
    Signal,
}

/// The reply to the cancel of one job. As JSON it is `"cancelled"`, `"running"`,
/// `{"finished":"completed"}` or `"not_found"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CancelReply {
    /// The job had not started. It is cancelled and never starts.
    Cancelled,
    /// A worker holds the lease of the job.
    Running,
    /// The job was finished, in this state.
    Finished(JobState),
    /// The job does not exist.
    NotFound,
}
