//! Without the feature `metrics` nothing is measured.

#![expect(clippy::unused_self, reason = "as with the feature")]

use std::time::Duration;

use super::Operation;
#[cfg(feature = "runtime")]
use crate::{JobAttempt, JobEvent};
use crate::{Kind, QueueName, Result};

#[derive(Debug, Default)]
pub(crate) struct Metrics;

impl Metrics {
    pub(crate) const ON: bool = false;

    pub(crate) const fn enqueued(&self, _: &Kind, _: &QueueName) {}

    pub(crate) const fn answered<T>(&self, _: Operation, _: Duration, _: &Result<T>) {}
}

#[cfg(feature = "runtime")]
impl Metrics {
    pub(crate) const fn started(&self, _: &Kind, _: &QueueName) {}

    pub(crate) const fn ended(&self, _: &JobAttempt, _: &JobEvent, _: Duration) {}

    pub(crate) const fn rescued(&self, _workers_lost: u64, _rescued: u64, _died: u64) {}

    pub(crate) const fn slots(&self, _: usize) -> Held {
        Held
    }

    pub(crate) const fn busy(&self) -> Held {
        Held
    }
}

/// A part of a gauge.
#[cfg(feature = "runtime")]
#[derive(Debug)]
pub(crate) struct Held;
