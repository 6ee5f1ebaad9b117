//! The states of a job.

use std::fmt;

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// The job waits for its `run_at`.
    Scheduled,
    /// The job can be claimed.
    Ready,
    /// A worker holds its lease.
    Running,
    /// The last attempt failed, and the job waits for the next.
    Retrying,
    /// An attempt succeeded.
    Completed,
    /// The job has used all attempts, or was buried.
    Dead,
    /// The job was cancelled.
    Cancelled,
}

impl State {
    /// All states, the unfinished ones first.
    pub const ALL: &[Self] = &[
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
    ];

    /// Returns the name of the state, which is the same in every backend.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether the job has ended.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
