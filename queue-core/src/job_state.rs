//! The states of a job.

use std::fmt;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Can be claimed.
    Ready,
    /// A worker holds its lease.
    Running,
    /// Failed, and waits for its next attempt.
    Retrying,
    /// Ended well.
    Completed,
    /// Used all its attempts, or was buried.
    Dead,
    /// Was cancelled.
    Cancelled,
}

impl State {
    /// All of them, unfinished ones first.
    pub const ALL: &[Self] = &[
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The word for it, the same in every database.
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

    /// Whether nothing but an explicit retry changes it any more.
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
