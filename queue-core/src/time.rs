//! Points in time, as backends store them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// Microseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// ```
/// use std::time::Duration;
/// use queue_core::Timestamp;
///
/// let start = Timestamp::from_micros(0)?;
/// let later = start.saturating_add(Duration::from_millis(1500));
/// assert_eq!(later.to_string(), "1970-01-01T00:00:01.500000Z");
/// assert_eq!(start.until(later), Duration::from_millis(1500));
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z, the earliest.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The last microsecond of the year 9999, the latest.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Creates a time from microseconds since 1970.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the time is outside of the years 1970 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self> {
        if (0..=Self::MAX.0).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(Error::invalid("read a time", format!("{micros} µs is outside of the years 1970 to 9999")))
        }
    }

    /// Returns the microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the time of this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Returns the time that is later by `duration`, at most [`MAX`](Self::MAX).
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_micros(duration)).min(Self::MAX.0))
    }

    /// Returns the time that is earlier by `duration`, at least [`UNIX_EPOCH`](Self::UNIX_EPOCH).
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_micros(duration)).max(0))
    }

    /// Returns the time until `later`; zero if `later` is in the past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0 - self.0).unwrap_or_default())
    }
}

/// Returns a duration in microseconds, as it is stored. It is at most `i64::MAX`, about 292,000
/// years.
#[must_use]
pub fn saturating_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Rounds down to whole microseconds, so that the stored duration equals the given one.
pub(crate) fn whole_micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(saturating_micros(duration)).unwrap_or_default())
}

/// A time outside of the range becomes the nearest time within it.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::UNIX_EPOCH.saturating_add(since)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Timestamp::UNIX_EPOCH.until(time)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_micros((*self).into()).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_within_the_range() {
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::UNIX_EPOCH.saturating_sub(Duration::MAX), Timestamp::UNIX_EPOCH);
        assert!(Timestamp::from_micros(-1).is_err());
        assert!(Timestamp::from_micros(Timestamp::MAX.as_micros() + 1).is_err());
    }

    #[test]
    fn until_a_past_time_is_zero() {
        assert_eq!(Timestamp::MAX.until(Timestamp::UNIX_EPOCH), Duration::ZERO);
    }
}
