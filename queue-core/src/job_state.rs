//! The states of a job.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::{Error, Result};

/// The state of a job.
///
/// Its text is the same in every backend, in SQL, and in JSON:
///
/// ```
/// use queue_core::JobState;
///
/// assert_eq!(JobState::Dead.to_string(), "dead");
/// assert_eq!("dead".parse::<JobState>()?, JobState::Dead);
/// assert!("Dead".parse::<JobState>().unwrap_err().to_string().contains("`completed`"));
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum JobState {
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

impl JobState {
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

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().find(|state| state.as_str() == text).copied().ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(|state| format!("`{state}`")).collect();
            Error::invalid("read a job state", format!("`{text}` is not one of {}", known.join(", ")))
        })
    }
}

impl Serialize for JobState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
