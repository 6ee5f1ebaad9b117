//! Commands of operators.

use async_trait::async_trait;

use crate::{QueueName, Result};

/// Commands of operators. They apply to all processes that share the storage.
///
/// No job of a paused queue is claimed. Everything else continues: its jobs are inserted, become
/// due, and are settled, cancelled and rescued.
#[async_trait]
pub trait Manage: Send + Sync {
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
