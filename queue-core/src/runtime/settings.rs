//! The settings of a worker.

use std::time::Duration;

use crate::backend::Prune;
use crate::limits::{DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_LEASE_GRACE, DEFAULT_WORKER_EXPIRY};
use crate::{Error, Result};

/// Jobs that run at the same time, by default.
pub const DEFAULT_SLOTS: usize = 32;

/// The settings of a worker. Each has a default.
///
/// ```
/// use queue_core::runtime::WorkerSettings;
///
/// let settings = WorkerSettings::default().slots(4);
/// assert_eq!(settings.heartbeat_interval.as_secs(), 5);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// Jobs that run at the same time, over all backends (default: [`DEFAULT_SLOTS`]).
    pub slots: usize,
    /// Interval between two heartbeats (default: 5 s). At most a third of `worker_expiry`.
    pub heartbeat_interval: Duration,
    /// How long after its last heartbeat the worker is lost (default: 15 s). Another worker then
    /// rescues its jobs.
    pub worker_expiry: Duration,
    /// How long a lease lasts after the job's own timeout (default: 30 s). More than
    /// `cancellation_grace`: otherwise a job that is being stopped runs a second time elsewhere.
    pub lease_grace: Duration,
    /// How long a handler may run after its token was cancelled, before its future is dropped
    /// (default: 1 s).
    pub cancellation_grace: Duration,
    /// How often a job is retried whose payload does not decode (default: 1), because a worker of
    /// another version may be able to read it. The number of the attempt decides: a job that failed
    /// for another reason before is dead at once.
    pub decode_retries: u32,
    /// The delay before such a retry (default: 10 s).
    pub decode_retry_delay: Duration,
    /// How long a claimed job should wait for a slot at most (default: 20 ms). This bounds the
    /// buffer.
    pub buffer_time: Duration,
    /// The most jobs per claim (default: 1000). A settle has up to twice as many.
    pub batch: usize,
    /// An insert of at most this many jobs makes the [claim](crate::backend::InsertRequest::claim)
    /// of an idle worker in the same transaction (default: 100). With more jobs the saved commit is
    /// worth little, and the worker would wait for the whole insert. With 0 no claim is parked.
    pub parked_batch: usize,
    /// The same for the bytes of all payloads of the insert (default: 1 MiB).
    pub parked_batch_bytes: usize,
    /// Interval between two rescues of the jobs of lost workers (default: 1 s).
    pub rescue_interval: Duration,
    /// Interval between two removals of old jobs (default: 60 s).
    pub prune_interval: Duration,
    /// Which jobs are old (default: [`Prune::default`]). `None` keeps everything.
    pub prune: Option<Prune>,
    /// The longest time between two looks for schedules that are due (default: 1 s). This bounds
    /// how late a schedule fires that another process has just created. Others fire at their time.
    /// `None` fires no schedules.
    pub schedule_interval: Option<Duration>,
    /// Interval between two looks at the first ready job of each kind without a handler here
    /// (default: 60 s). If no worker took it from one look to the next, the worker warns once.
    /// `None` never warns.
    pub warn_unhandled_after: Option<Duration>,
    /// The longest time between two claims from a queue (default: 5 s). This bounds how late a job
    /// starts whose wake-up was lost.
    pub poll_interval: Duration,
    /// The same interval for `active_time` after a job or a wake-up (default: 100 ms). This bounds
    /// how late a job starts that another claim had locked, and then did not take.
    pub active_poll_interval: Duration,
    /// How long a queue is polled more often after a job or a wake-up (default: 2 s).
    pub active_time: Duration,
    /// The wait after the first failure of the storage (default: 50 ms). It doubles with each
    /// failure.
    pub outage_backoff: Duration,
    /// The longest wait after a failure of the storage (default: 5 s).
    pub outage_backoff_cap: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            slots: DEFAULT_SLOTS,
            heartbeat_interval: DEFAULT_HEARTBEAT_INTERVAL,
            worker_expiry: DEFAULT_WORKER_EXPIRY,
            lease_grace: DEFAULT_LEASE_GRACE,
            cancellation_grace: Duration::from_secs(1),
            decode_retries: 1,
            decode_retry_delay: Duration::from_secs(10),
            buffer_time: Duration::from_millis(20),
            batch: 1000,
            parked_batch: 100,
            parked_batch_bytes: 1 << 20,
            rescue_interval: Duration::from_secs(1),
            prune_interval: Duration::from_secs(60),
            prune: Some(Prune::default()),
            schedule_interval: Some(Duration::from_secs(1)),
            warn_unhandled_after: Some(Duration::from_secs(60)),
            poll_interval: Duration::from_secs(5),
            active_poll_interval: Duration::from_millis(100),
            active_time: Duration::from_secs(2),
            outage_backoff: Duration::from_millis(50),
            outage_backoff_cap: Duration::from_secs(5),
        }
    }
}

/// Setters: each field says what its value means.
impl WorkerSettings {
    /// Sets how many jobs run at the same time.
    #[must_use]
    pub const fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// Sets the interval between two heartbeats.
    #[must_use]
    pub const fn heartbeat_interval(mut self, heartbeat_interval: Duration) -> Self {
        self.heartbeat_interval = heartbeat_interval;
        self
    }

    /// Sets how long after its last heartbeat the worker is lost.
    #[must_use]
    pub const fn worker_expiry(mut self, worker_expiry: Duration) -> Self {
        self.worker_expiry = worker_expiry;
        self
    }

    /// Sets how long a lease lasts after the job's own timeout.
    #[must_use]
    pub const fn lease_grace(mut self, lease_grace: Duration) -> Self {
        self.lease_grace = lease_grace;
        self
    }

    /// Sets how long a handler may run after its token was cancelled.
    #[must_use]
    pub const fn cancellation_grace(mut self, cancellation_grace: Duration) -> Self {
        self.cancellation_grace = cancellation_grace;
        self
    }

    /// Sets how often a job is retried whose payload does not decode.
    #[must_use]
    pub const fn decode_retries(mut self, decode_retries: u32) -> Self {
        self.decode_retries = decode_retries;
        self
    }

    /// Sets the delay before such a retry.
    #[must_use]
    pub const fn decode_retry_delay(mut self, decode_retry_delay: Duration) -> Self {
        self.decode_retry_delay = decode_retry_delay;
        self
    }

    /// Sets how long a claimed job should wait for a slot at most.
    #[must_use]
    pub const fn buffer_time(mut self, buffer_time: Duration) -> Self {
        self.buffer_time = buffer_time;
        self
    }

    /// Sets the most jobs per claim.
    #[must_use]
    pub const fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Sets the most jobs of an insert with a parked claim.
    #[must_use]
    pub const fn parked_batch(mut self, parked_batch: usize) -> Self {
        self.parked_batch = parked_batch;
        self
    }

    /// Sets the most bytes of the payloads of such an insert.
    #[must_use]
    pub const fn parked_batch_bytes(mut self, parked_batch_bytes: usize) -> Self {
        self.parked_batch_bytes = parked_batch_bytes;
        self
    }

    /// Sets the interval between two rescues of the jobs of lost workers.
    #[must_use]
    pub const fn rescue_interval(mut self, rescue_interval: Duration) -> Self {
        self.rescue_interval = rescue_interval;
        self
    }

    /// Sets the interval between two removals of old jobs.
    #[must_use]
    pub const fn prune_interval(mut self, prune_interval: Duration) -> Self {
        self.prune_interval = prune_interval;
        self
    }

    /// Sets which jobs are old; `None` keeps everything.
    #[must_use]
    pub fn prune(mut self, prune: impl Into<Option<Prune>>) -> Self {
        self.prune = prune.into();
        self
    }

    /// Sets the longest time between two looks for schedules that are due; `None` fires none.
    #[must_use]
    pub fn schedule_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.schedule_interval = interval.into();
        self
    }

    /// Sets the interval between two looks at kinds without a handler; `None` never warns.
    #[must_use]
    pub fn warn_unhandled_after(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.warn_unhandled_after = after.into();
        self
    }

    /// Sets the longest time between two claims from a queue.
    #[must_use]
    pub const fn poll_interval(mut self, poll_interval: Duration) -> Self {
        self.poll_interval = poll_interval;
        self
    }

    /// Sets the interval between two claims for some time after a job or a wake-up.
    #[must_use]
    pub const fn active_poll_interval(mut self, active_poll_interval: Duration) -> Self {
        self.active_poll_interval = active_poll_interval;
        self
    }

    /// Sets how long a queue is polled more often after a job or a wake-up.
    #[must_use]
    pub const fn active_time(mut self, active_time: Duration) -> Self {
        self.active_time = active_time;
        self
    }

    /// Sets the wait after the first failure of the storage.
    #[must_use]
    pub const fn outage_backoff(mut self, outage_backoff: Duration) -> Self {
        self.outage_backoff = outage_backoff;
        self
    }

    /// Sets the longest wait after a failure of the storage.
    #[must_use]
    pub const fn outage_backoff_cap(mut self, outage_backoff_cap: Duration) -> Self {
        self.outage_backoff_cap = outage_backoff_cap;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let fault = if self.slots == 0 {
            "`slots` is 0".to_owned()
        } else if self.batch == 0 {
            "`batch` is 0".to_owned()
        } else if self.warn_unhandled_after == Some(Duration::ZERO) {
            "`warn_unhandled_after` is 0; use `None` to turn the warning off".to_owned()
        } else if self.schedule_interval == Some(Duration::ZERO) {
            "`schedule_interval` is 0; use `None` to fire no schedules".to_owned()
        } else if self.heartbeat_interval.saturating_mul(3) > self.worker_expiry {
            format!(
                "`heartbeat_interval` is {:?}, more than a third of `worker_expiry`, which is {:?}",
                self.heartbeat_interval, self.worker_expiry
            )
        } else if self.cancellation_grace >= self.lease_grace {
            format!(
                "`cancellation_grace` is {:?}, not less than `lease_grace`, which is {:?}",
                self.cancellation_grace, self.lease_grace
            )
        } else {
            return Ok(());
        };
        Err(Error::invalid("start a worker", fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictory_settings_are_refused() {
        let defaults = WorkerSettings::default();
        assert!(defaults.check().is_ok());
        for bad in [
            WorkerSettings { slots: 0, ..defaults.clone() },
            WorkerSettings { batch: 0, ..defaults.clone() },
            WorkerSettings { schedule_interval: Some(Duration::ZERO), ..defaults.clone() },
            WorkerSettings { worker_expiry: Duration::from_secs(14), ..defaults.clone() },
            WorkerSettings { cancellation_grace: Duration::from_secs(30), ..defaults.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
