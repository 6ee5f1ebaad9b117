//! The clock of a case.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use queue_core::{Timestamp, saturating_micros};

/// 2026-01-01T00:00:00Z, the start of every case.
const START_MICROS: i64 = 1_767_225_600_000_000;

/// A clock that only the case advances.
#[derive(Debug)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    pub(crate) const fn new() -> Self {
        Self(AtomicI64::new(START_MICROS))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_micros(
            u64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or_default(),
        ))
    }

    /// Advances the clock and returns the new time.
    pub(crate) fn advance(&self, by: Duration) -> Timestamp {
        self.0.fetch_add(saturating_micros(by), Ordering::SeqCst);
        self.now()
    }

    /// Sets the clock, forward or backward.
    pub(crate) fn set(&self, time: Timestamp) {
        self.0.store(time.as_micros(), Ordering::SeqCst);
    }
}
