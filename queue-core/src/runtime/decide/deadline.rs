//! Arithmetic with moments that cannot overflow.

use std::time::{Duration, Instant};

/// The longest wait. Settings may say `Duration::MAX` for "never", which no `Instant` can hold.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The moment `by` after `now`, at most a year later.
pub(crate) fn later(now: Instant, by: Duration) -> Instant {
    now + by.min(LONGEST)
}
