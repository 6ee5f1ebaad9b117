//! Entering jobs.

use crate::{JobSpec, Timestamp};

/// Several batches to store, each atomic by itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InsertRequest {
    /// The time of the insert; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The batches; none of them is empty, and no id stands twice within one.
    pub batches: Vec<Vec<JobSpec>>,
}

impl InsertRequest {
    /// By the backend's clock.
    #[must_use]
    pub const fn new(batches: Vec<Vec<JobSpec>>) -> Self {
        Self { now: None, batches }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }
}
