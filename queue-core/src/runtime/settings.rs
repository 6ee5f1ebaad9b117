//! Everything about a worker that can be set.

use std::time::Duration;

use crate::backend::Prune;
use crate::limits::{DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_LEASE_GRACE, DEFAULT_WORKER_EXPIRY};
use crate::{Error, Result};

/// Jobs that run at the same time unless set otherwise.
pub const DEFAULT_SLOTS: usize = 32;

/// The settings of a worker; each has a default.
///
/// ```
/// use queue_core::runtime::WorkerSettings;
///
/// let settings = WorkerSettings { slots: 4, ..WorkerSettings::default() };
/// assert_eq!(settings.heartbeat_interval.as_secs(), 5);
/// ```
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Jobs that run at the same time, over all backends; [`DEFAULT_SLOTS`].
    pub slots: usize,
    /// How often the worker shows that it lives; 5 s. At most a third of `worker_expiry`.
    pub heartbeat_interval: Duration,
    /// How long after its last heartbeat others give the worker up; 15 s.
    pub worker_expiry: Duration,
    /// How far a lease's deadline lies behind the job's own timeout; 30 s. More than
    /// `cancellation_grace`, or a job that is being stopped runs a second time elsewhere.
    pub lease_grace: Duration,
    /// How long a handler may go on after its token was cancelled, before its future is dropped; 1 s.
    pub cancellation_grace: Duration,
    /// The longest time that a claimed job should wait for a slot; 20 ms. This bounds the buffer.
    pub buffer_time: Duration,
    /// The most jobs of one claim; 1000. A settle has up to twice as many.
    pub batch: usize,
    /// The most jobs of an insert that the [parked claim](crate::backend::ParkedClaims) of the idle worker is made with; 100. To
    /// save a commit is worth nothing beside more jobs, and the worker would wait for the whole insert. With 0 none is parked.
    pub parked_batch: usize,
    /// The most bytes that the payloads of such an insert have together; 1 MiB.
    pub parked_batch_bytes: usize,
    /// How often the jobs of dead workers are looked for; 1 s.
    pub rescue_interval: Duration,
    /// How often old jobs are removed; 60 s.
    pub prune_interval: Duration,
    /// Which jobs are old; `None` keeps everything.
    pub prune: Option<Prune>,
    /// The longest time between two claims from the head of a queue; 5 s. This bounds how late a job
    /// starts of which no wake-up told.
    pub head_interval: Duration,
    /// How far behind its cursor a worker looks for jobs that were committed late; 2 s.
    pub look_back: Duration,
    /// How often it does; 100 ms, for as long as `look_back` after the last activity.
    pub look_back_interval: Duration,
    /// The first wait after the storage failed; 50 ms. Doubled each time.
    pub outage_backoff: Duration,
    /// The longest wait after the storage failed; 5 s.
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
            buffer_time: Duration::from_millis(20),
            batch: 1000,
            parked_batch: 100,
            parked_batch_bytes: 1 << 20,
            rescue_interval: Duration::from_secs(1),
            prune_interval: Duration::from_secs(60),
            prune: Some(Prune::default()),
            head_interval: Duration::from_secs(5),
            look_back: Duration::from_secs(2),
            look_back_interval: Duration::from_millis(100),
            outage_backoff: Duration::from_millis(50),
            outage_backoff_cap: Duration::from_secs(5),
        }
    }
}

impl WorkerSettings {
    pub(crate) fn check(&self) -> Result<()> {
        let fault = if self.slots == 0 {
            "it has no slots".to_owned()
        } else if self.batch == 0 {
            "its batch is 0".to_owned()
        } else if self.heartbeat_interval.saturating_mul(3) > self.worker_expiry {
            format!(
                "its heartbeat interval of {:?} is more than a third of the worker expiry of {:?}",
                self.heartbeat_interval, self.worker_expiry
            )
        } else if self.cancellation_grace >= self.lease_grace {
            format!(
                "its cancellation grace of {:?} is not below the lease grace of {:?}",
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
    fn contradictions_are_refused() {
        let defaults = WorkerSettings::default();
        assert!(defaults.check().is_ok());
        for bad in [
            WorkerSettings { slots: 0, ..defaults.clone() },
            WorkerSettings { batch: 0, ..defaults.clone() },
            WorkerSettings { worker_expiry: Duration::from_secs(14), ..defaults.clone() },
            WorkerSettings { cancellation_grace: Duration::from_secs(30), ..defaults.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
