//! Commands of operators.

use async_trait::async_trait;
use serde::Serialize;

use crate::{JobId, JobState, QueueName, Result, Timestamp};

/// Commands of operators. They apply to all processes that share the storage.
///
/// No job of a paused queue is claimed. Everything else continues: its jobs are inserted, become
/// due, and are settled, cancelled and rescued.
#[async_trait]
pub trait Manage: Send + Sync {
    /// Makes finished jobs ready again, and returns one reply per job, in the order of the request.
    ///
    /// # To be correct
    /// - Each job changes completely or not at all. It is ready, its `run_at` is the time of the
    ///   request, and it has no lease, result, end or pending cancel. It can be claimed as any
    ///   ready job, and never by the claim that ended it.
    /// - Attempts go on counting, and the errors of earlier attempts remain. From now on, claims,
    ///   settles and rescues use another maximum of retries: that of the job, counted
    ///   [from](retries_from) its attempts so far. A claim returns it in
    ///   [`ClaimedJob::max_retries`](super::ClaimedJob::max_retries).
    /// - A job with a unique key takes the key again in the same transaction. If another job holds
    ///   it, nothing is changed and the reply names that job. A key that the job itself still
    ///   holds, because a completed job keeps its key for some time, is its own. Of the jobs of a
    ///   request with one key, the first takes it.
    /// - A settle, a cancel, a prune and another retry of the same job happen before or after it.
    /// - Subscribers are woken after the commit, as after an insert.
    ///
    /// # Errors
    /// After [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome), jobs may or may not be ready
    /// again. If the request is repeated, a job that ended in the meantime runs once more.
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>>;

    /// Pauses a queue, even if it has no jobs. Pausing a paused queue changes nothing.
    ///
    /// # To be correct
    /// - After this has returned, no claim of any worker takes a job of the queue. Therefore it
    ///   must wait for claims that are in progress.
    /// - Other queues are not affected.
    /// - The pause lasts until the queue is resumed, and is as durable as the jobs.
    ///
    /// # Errors
    /// After [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome), the queue may or may not be
    /// paused. The caller can safely repeat the request.
    async fn pause(&self, queue: &QueueName) -> Result<()>;

    /// Resumes a queue. Resuming a queue that is not paused changes nothing.
    ///
    /// # To be correct
    /// Subscribers are woken after the commit.
    async fn resume(&self, queue: &QueueName) -> Result<()>;

    /// Returns the paused queues in the order of their names.
    async fn paused(&self) -> Result<Vec<QueueName>>;
}

/// A request to make finished jobs ready again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetryRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The jobs, each at most once.
    pub jobs: Vec<JobId>,
}

impl RetryRequest {
    /// Retries these jobs.
    #[must_use]
    pub const fn new(jobs: Vec<JobId>) -> Self {
        Self { now: None, jobs }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// The reply to the retry of one job. As JSON it is `"retried"`, `{"unfinished":"running"}`,
/// `{"key_held":"01J…"}` or `"not_found"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryReply {
    /// The job was finished and is ready again.
    Retried,
    /// The job is not finished, and was not changed.
    Unfinished(JobState),
    /// This job holds the unique key, so the finished one was not changed.
    KeyHeld(JobId),
    /// The job does not exist.
    NotFound,
}

/// Returns the maximum number of retries of a job that is made ready again after this number of
/// attempts: `max_retries` more than it had, at most [`u16::MAX`]. (One attempt more is always
/// possible.)
#[must_use]
pub fn retries_from(attempt: u32, max_retries: u16) -> u16 {
    u16::try_from(attempt).unwrap_or(u16::MAX).saturating_add(max_retries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_retries_end_at_the_greatest_number() {
        for (attempt, max_retries, expected) in
            [(0, 0, 0), (3, 2, 5), (65_535, 0, u16::MAX), (65_536, 10, u16::MAX), (u32::MAX, 1, u16::MAX)]
        {
            assert_eq!(retries_from(attempt, max_retries), expected, "{attempt}, {max_retries}");
        }
    }

    #[test]
    fn replies_are_written_as_documented() {
        let json = |reply: RetryReply| serde_json::to_string(&reply).unwrap();
        assert_eq!(json(RetryReply::Retried), r#""retried""#);
        assert_eq!(json(RetryReply::Unfinished(JobState::Running)), r#"{"unfinished":"running"}"#);
        let id = JobId::from_bytes([1; 16]);
        assert_eq!(json(RetryReply::KeyHeld(id)), format!(r#"{{"key_held":"{id}"}}"#));
        assert_eq!(json(RetryReply::NotFound), r#""not_found""#);
    }
}
