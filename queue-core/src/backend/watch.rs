//! The ends of jobs, for callers that wait for results.

use async_trait::async_trait;

use crate::{JobId, JobState, Result};

/// Returns how jobs ended, and announces the ends of those that are unfinished.
///
/// Without this extension, a caller that waits for a result reads the [record] of its job at each
/// [`result_poll_interval`](crate::Limits::result_poll_interval).
///
/// [record]: super::Inspect::jobs
#[async_trait]
pub trait Watch: Send + Sync {
    /// Returns how each job ended, in the order of `jobs`; `None` for a job that is unfinished. The
    /// unfinished jobs are *watched* from now on.
    ///
    /// A queue has at most one such request in progress, with at most
    /// [`MAX_WATCHED_JOBS`](crate::limits::MAX_WATCHED_JOBS) jobs. It asks again for all awaited
    /// jobs at each [`result_poll_interval`](crate::Limits::result_poll_interval).
    ///
    /// # To be correct
    /// - A watched job stays watched if its lease ends and it can run again.
    /// - The end of a watched job is announced after the commit, as [`Wakes::finished`]: by the
    ///   settle, the cancel or the rescue that ends it.
    /// - No end is missed in between: if a job ends while the request is in progress, the reply has
    ///   its end, or its end is announced.
    /// - The ends of other jobs are not announced, so that jobs for which no caller waits cost
    ///   nothing.
    /// - Nothing else changes. A ready job is claimed as soon as without the request.
    ///
    /// A lost mark or announcement only delays the caller, so a backend may forget that a job is
    /// watched, and need not store it durably.
    ///
    /// [`Wakes::finished`]: super::Wakes::finished
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>>;
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobEnd {
    /// An attempt succeeded.
    Completed {
        /// The bytes of its result, if it has one. Those of a typed handler are JSON.
        result: Option<Vec<u8>>,
    },
    /// The job has used all attempts, or was buried.
    Dead {
        /// The error of its last attempt.
        error: String,
    },
    /// The job was cancelled.
    Cancelled {
        /// The reason, if the job was running. A job that never started has none.
        reason: Option<String>,
    },
    /// There is no such job. It never existed, the transaction that enqueues it has not committed,
    /// or it has ended and was [pruned](super::Prune).
    Gone,
}

impl JobEnd {
    /// Returns the end of a job with this outcome. `None` if the state is not a final one.
    #[must_use]
    pub fn of(state: JobState, result: Option<Vec<u8>>, error: Option<String>) -> Option<Self> {
        match state {
            JobState::Completed => Some(Self::Completed { result }),
            JobState::Dead => Some(Self::Dead { error: error.unwrap_or_default() }),
            JobState::Cancelled => Some(Self::Cancelled { reason: error }),
            JobState::Scheduled | JobState::Ready | JobState::Running | JobState::Retrying => None,
        }
    }
}
