//! Which queues have something for a worker.

use std::sync::Arc;
use std::time::Duration;

use crate::{Kind, QueueName, Timestamp};

/// Ask which of these queues have a job of one of these kinds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadyQueuesRequest {
    /// The time; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The queues.
    pub queues: Vec<QueueName>,
    /// The kinds that the worker handles.
    pub kinds: Arc<[Kind]>,
}

impl ReadyQueuesRequest {
    /// By the backend's clock.
    #[must_use]
    pub fn new(queues: Vec<QueueName>, kinds: impl Into<Arc<[Kind]>>) -> Self {
        Self { now: None, queues, kinds: kinds.into() }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}

/// Which queues have something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadyQueuesReply {
    /// Queues of the request from which a claim may take something, in any order.
    pub queues: Vec<QueueName>,
    /// How long until the first waiting job of the other queues is due, if the backend knows of one.
    pub next_due: Option<Duration>,
}

impl ReadyQueuesReply {
    /// These queues have something, and a job of another one is due after `next_due`.
    #[must_use]
    pub const fn new(queues: Vec<QueueName>, next_due: Option<Duration>) -> Self {
        Self { queues, next_due }
    }
}
