//! What a child of the suite and its parent say to each other.

use std::time::Duration;

use queue_core::Timestamp;
use serde::{Deserialize, Serialize};

/// A time in an order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Micros(i64);

impl From<Timestamp> for Micros {
    fn from(time: Timestamp) -> Self {
        Self(time.as_micros())
    }
}

impl Micros {
    pub(crate) fn time(self) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_micros(u64::try_from(self.0).unwrap_or_default()))
    }
}

/// A child says it before it opens the storage.
pub(crate) const OPENING: &str = "opening";
/// A child says it after it opened the storage.
pub(crate) const OPENED: &str = "opened";
/// A child says it when there is nothing left to do.
pub(crate) const IDLE: &str = "idle";
/// A parent says it to have the child end in good order.
pub(crate) const END: &str = "end";
