//! Which queues have jobs for a worker.

use std::sync::Arc;
use std::time::Duration;

use crate::{Kind, QueueName, Timestamp};

/// Asks which of these queues have a job of one of these kinds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadyQueuesRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The queues.
    pub queues: Vec<QueueName>,
    /// The kinds that the worker handles.
    pub kinds: Arc<[Kind]>,
}

impl ReadyQueuesRequest {
    /// A request by the backend's clock.
    #[must_use]
    pub fn new(queues: Vec<QueueName>, kinds: impl Into<Arc<[Kind]>>) -> Self {
        Self { now: None, queues, kinds: kinds.into() }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// The queues that have jobs for the worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadyQueuesReply {
    /// Queues of the request from which a claim may take jobs, in any order.
    pub queues: Vec<QueueName>,
    /// The time until the first waiting job of the other queues is due, if the backend knows it.
    pub next_due: Option<Duration>,
}

impl ReadyQueuesReply {
    /// A reply with these queues. The first job of the other queues is due after `next_due`.
    #[must_use]
    pub const fn new(queues: Vec<QueueName>, next_due: Option<Duration>) -> Self {
        Self { queues, next_due }
    }
}
