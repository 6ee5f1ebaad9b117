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

    /// Creates a backoff of which each delay is `delay`, without jitter.
    ///
    /// ```
    /// use std::time::Duration;
    /// use queue_core::Backoff;
    ///
    /// let backoff = Backoff::fixed(Duration::from_secs(30));
    /// assert_eq!(backoff.delay(1, 0), Duration::from_secs(30));
    /// assert_eq!(backoff.delay(9, u64::MAX), Duration::from_secs(30));
    /// ```
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self::new(delay, delay).with_jitter(0)
    }

    /// Sets the maximum random part of a delay, in percent (default: [`DEFAULT_RETRY_JITTER`], and
    /// 0 for [`fixed`](Self::fixed)). More than 100 counts as 100.
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
///
/// A policy is not stored with the jobs. A failed job is retried by the policy of the worker that
/// ran it. Therefore a policy that is changed in the code also applies to jobs that are stored
/// already. Two delays come first:
///
/// 1. that of the error, if it has one ([`JobError::retry_after`](crate::JobError::retry_after))
/// 2. that of the job's own [`Backoff`] ([`Enqueue::backoff`](crate::Enqueue::backoff),
///    [`NewJob::backoff`](crate::NewJob::backoff)), which is stored with the job
///
/// ```
/// use std::time::Duration;
/// use queue_core::{RetryPolicy, TaskOptions};
///
/// let seconds = Duration::from_secs;
/// let options = TaskOptions::new().retry(RetryPolicy::exponential(seconds(1), seconds(60)));
/// let options = TaskOptions::new().retry(RetryPolicy::fixed(seconds(30)));
/// let options = TaskOptions::new().retry(RetryPolicy::list([seconds(1), seconds(10)]));
/// let options = TaskOptions::new().retry(RetryPolicy::custom(|attempt, error| {
///     if error.contains("busy") { Duration::ZERO } else { Duration::from_secs(attempt.into()) }
/// }));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum RetryPolicy {
    /// An exponential or fixed backoff.
    Backoff(Backoff),
    /// One delay per retry. The last delay repeats.
    List(Arc<[Duration]>),
    /// A function of the application.
    Custom(Arc<DelayFn>),
}

impl RetryPolicy {
    /// Creates a policy whose delays double from `base` up to `cap`, with the jitter of
    /// [`Backoff::new`].
    #[must_use]
    pub const fn exponential(base: Duration, cap: Duration) -> Self {
        Self::Backoff(Backoff::new(base, cap))
    }

    /// Creates a policy of which each delay is `delay`, without jitter.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self::Backoff(Backoff::fixed(delay))
    }

    /// Creates a policy of one delay per retry, without jitter. If there are more retries than
    /// delays, the last delay repeats. An empty list is the default policy.
    ///
    /// ```
    /// use std::time::Duration;
    /// use queue_core::RetryPolicy;
    ///
    /// let policy = RetryPolicy::list([1, 10, 60].map(Duration::from_secs));
    /// let delays = [1, 2, 3, 4].map(|attempt| policy.delay(attempt, "timed out", 0).as_secs());
    /// assert_eq!(delays, [1, 10, 60, 60]);
    /// ```
    #[must_use]
    pub fn list(delays: impl IntoIterator<Item = Duration>) -> Self {
        Self::List(delays.into_iter().collect())
    }

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

    /// Returns the delay after the failure of `attempt` (1, 2, …) with `error`. `random` must be
    /// uniform over all of `u64`.
    #[must_use]
    pub fn delay(&self, attempt: u32, error: &str, random: u64) -> Duration {
        match self {
            Self::Backoff(backoff) => backoff.delay(attempt, random),
            Self::List(delays) => {
                // An empty list must not mean no delay, because a job would then use all its
                // attempts at once.
                let retry = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
                let delay = delays.get(retry).or(delays.last()).copied();
                delay.unwrap_or_else(|| Backoff::default().delay(attempt, random))
            }
            Self::Custom(delay) => delay(attempt, error),
        }
    }
}

impl From<Backoff> for RetryPolicy {
    fn from(backoff: Backoff) -> Self {
        Self::Backoff(backoff)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::Backoff(Backoff::default())
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backoff(backoff) => backoff.fmt(f),
            Self::List(delays) => f.debug_tuple("List").field(delays).finish(),
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
    fn empty_list_is_the_default_policy() {
        let default = RetryPolicy::default();
        assert_eq!(RetryPolicy::list([]).delay(3, "", 7), default.delay(3, "", 7));
    }

    #[test]
    fn invalid_stored_cap_or_jitter_is_refused() {
        assert!(Backoff::from_stored(Duration::from_secs(2), Duration::from_secs(1), 0).is_err());
        assert!(Backoff::from_stored(Duration::ZERO, Duration::ZERO, 101).is_err());
    }
}
