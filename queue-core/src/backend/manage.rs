//! Commands of operators.

use async_trait::async_trait;

use crate::{QueueName, Result};

/// Commands of operators, for all processes that share the storage.
///
/// A paused queue gives nothing to claims. All else goes on: jobs enter it and become due, those that run
/// are settled, cancelled and rescued.
#[async_trait]
pub trait Manage: Send + Sync {
    /// Pauses a queue, whether or not it has jobs. Pausing a paused one changes nothing.
    ///
    /// # To be correct
    /// - From the moment this has answered no claim, by whomever, takes a job of the queue: one that is under way
    ///   is waited for.
    /// - Other queues go on.
    /// - It lasts until it is resumed, as long as the jobs do.
    ///
    /// # Errors
    /// After [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome) the queue may or may not be paused; to pause it
    /// again is safe.
    async fn pause(&self, queue: &QueueName) -> Result<()>;

    /// Lets a queue go on. Resuming one that is not paused changes nothing.
    ///
    /// # To be correct
    /// Subscribers are woken after the commit.
    async fn resume(&self, queue: &QueueName) -> Result<()>;

    /// The queues that are paused, in the order of their names.
    async fn paused(&self) -> Result<Vec<QueueName>>;
}
