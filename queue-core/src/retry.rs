//! The delays of retries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{DEFAULT_RETRY_BASE, DEFAULT_RETRY_CAP, DEFAULT_RETRY_JITTER};
use crate::{Error, Result};

/// Exponential backoff with a cap and jitter. The delay before retry *n* is `base · 2ⁿ⁻¹`, at most
/// `cap`. It is shortened by a random part of up to `jitter` percent, so that jobs which failed
/// together are not retried together.
///
/// The reasoning is in [Exponential Backoff And
/// Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
///
/// ```
/// use std::time::Duration;
/// use queue_core::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10)).with_jitter(0);
/// let delays: Vec<u64> = (1..=5).map(|n| backoff.delay(n, 0).as_secs()).collect();
/// assert_eq!(delays, [1, 2, 4, 8, 10]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: u8,
}

impl Backoff {
    /// Creates a backoff from `base` up to `cap`, with the default jitter. A cap below the base
    /// counts as the base.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        let cap = if cap.as_nanos() < base.as_nanos() { base } else { cap };
        Self { base, cap, jitter: DEFAULT_RETRY_JITTER }
    }

    /// Sets the maximum random part of a delay, in percent (default: [`DEFAULT_RETRY_JITTER`]).
    /// More than 100 counts as 100.
    #[must_use]
    pub const fn with_jitter(mut self, percent: u8) -> Self {
        self.jitter = if percent > 100 { 100 } else { percent };
        self
    }

    /// Reads a stored backoff, for backends.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if `cap` is less than `base`, or `jitter` is above
    /// 100.
    pub fn from_stored(base: Duration, cap: Duration, jitter: u8) -> Result<Self> {
        let invalid = |fault| Error::invalid("read a backoff", fault);
        if cap < base {
            return Err(invalid(format!("the cap {cap:?} is below the base {base:?}")));
        }
        if jitter > 100 {
            return Err(invalid(format!("a jitter of {jitter} percent is above 100")));
        }
        Ok(Self { base, cap, jitter })
    }

    /// Creates a backoff from this base, with the default cap and jitter.
    #[must_use]
    pub const fn from_base(base: Duration) -> Self {
        Self::new(base, DEFAULT_RETRY_CAP)
    }

    /// Returns the delay before the first retry.
    #[must_use]
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// Returns the maximum delay.
    #[must_use]
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// Returns the maximum random part of a delay, in percent.
    #[must_use]
    pub const fn jitter(&self) -> u8 {
        self.jitter
    }

    /// Returns the delay after the failure of `attempt` (1, 2, …). `random` must be uniform over
    /// all of `u64`.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(1 << doublings).min(self.cap);
        let cut = full.as_micros() * u128::from(self.jitter) * u128::from(random >> 32) / (100 << 32);
        full.saturating_sub(Duration::from_micros(u64::try_from(cut).unwrap_or(u64::MAX)))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::from_base(DEFAULT_RETRY_BASE)
    }
}

/// Computes the delay from the failed attempt and its error.
pub type DelayFn = dyn Fn(u32, &str) -> Duration + Send + Sync;

/// How the delay before a retry is computed.
#[derive(Clone)]
pub enum RetryPolicy {
    /// A backoff, which is stored with the job.
    Exponential(Backoff),
    /// A function of the caller, which the worker that runs the job must have.
    Custom(Arc<DelayFn>),
}

impl RetryPolicy {
    /// Creates a policy from a function of the failed attempt (1, 2, …) and its error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use queue_core::RetryPolicy;
    ///
    /// let policy = RetryPolicy::custom(|attempt, _error| Duration::from_secs(u64::from(attempt)));
    /// assert_eq!(policy.delay(3, "timed out", 0), Duration::from_secs(3));
    /// ```
    pub fn custom(delay: impl Fn(u32, &str) -> Duration + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(delay))
    }

    /// Returns the delay after the failure of `attempt` with `error`.
    #[must_use]
    pub fn delay(&self, attempt: u32, error: &str, random: u64) -> Duration {
        match self {
            Self::Exponential(backoff) => backoff.delay(attempt, random),
            Self::Custom(delay) => delay(attempt, error),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::Exponential(Backoff::default())
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential(backoff) => backoff.fmt(f),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_within_its_bounds() {
        let backoff = Backoff::new(Duration::from_secs(100), Duration::ZERO).with_jitter(20);
        assert_eq!(backoff.delay(1, 0), Duration::from_secs(100));
        assert_eq!(backoff.delay(1, u64::MAX).as_millis(), 80_000);
    }

    #[test]
    fn delay_of_any_attempt_does_not_overflow() {
        let backoff = Backoff::new(Duration::MAX, Duration::MAX).with_jitter(0);
        assert_eq!(backoff.delay(u32::MAX, u64::MAX), Duration::MAX);
        assert_eq!(Backoff::default().delay(u32::MAX, 0), DEFAULT_RETRY_CAP);
    }

    #[test]
    fn invalid_stored_cap_or_jitter_is_refused() {
        assert!(Backoff::from_stored(Duration::from_secs(2), Duration::from_secs(1), 0).is_err());
        assert!(Backoff::from_stored(Duration::ZERO, Duration::ZERO, 101).is_err());
    }
}
