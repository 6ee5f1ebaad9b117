//! Every limit and default of the workspace, named once.

use std::time::Duration;

/// The longest [`Kind`](crate::Kind) or [`QueueName`](crate::QueueName), in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The deepest nesting of arrays and objects in a payload.
pub const MAX_JSON_DEPTH: usize = 128;

/// The longest [`Attributes`](crate::Attributes), in bytes.
pub const MAX_ATTRIBUTES_BYTES: usize = 16 << 10;

/// The largest payload unless set otherwise: 1 MiB.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// The largest result unless set otherwise: 1 MiB.
pub const DEFAULT_MAX_RESULT_BYTES: usize = 1 << 20;

/// Where the text of an error is cut unless set otherwise: 8 KiB.
pub const DEFAULT_MAX_ERROR_BYTES: usize = 8 << 10;

/// The most jobs of one batch unless set otherwise. A batch is one transaction, and while it is
/// written no heartbeat is.
pub const DEFAULT_MAX_BATCH_JOBS: usize = 100_000;

/// How long an explicit [`JobId`](crate::JobId) protects from a second insert, unless set otherwise.
/// No job younger than this is pruned, and no explicit id older than this is accepted.
pub const DEFAULT_IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Retries after the first attempt unless said otherwise. With the default backoff the last of them
/// starts about eight hours after the first attempt.
pub const DEFAULT_MAX_RETRIES: u16 = 10;

/// How long an attempt may take unless said otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The delay before the first retry unless said otherwise.
pub const DEFAULT_RETRY_BASE: Duration = Duration::from_secs(30);

/// The longest delay before a retry unless said otherwise.
pub const DEFAULT_RETRY_CAP: Duration = Duration::from_secs(6 * 60 * 60);

/// How much of a delay is left to chance unless said otherwise, in percent.
pub const DEFAULT_RETRY_JITTER: u8 = 20;

/// How often a worker shows that it lives, unless set otherwise.
pub const DEFAULT_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// How long after its last heartbeat a worker is given up, unless set otherwise.
pub const DEFAULT_WORKER_EXPIRY: Duration = Duration::from_secs(15);

/// How far a lease's deadline lies behind the job's own timeout, unless set otherwise.
pub const DEFAULT_LEASE_GRACE: Duration = Duration::from_secs(30);

/// How long a completed or cancelled job is kept, unless set otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a dead job is kept, unless set otherwise.
pub const DEFAULT_DEAD_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is accepted at the border, the same for every backend.
///
/// ```
/// use queue_core::Limits;
///
/// let limits = Limits::default().payload_bytes(4096);
/// assert_eq!(limits.result_bytes, 1 << 20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The largest payload in bytes; [`DEFAULT_MAX_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
    /// The largest result in bytes; [`DEFAULT_MAX_RESULT_BYTES`].
    pub result_bytes: usize,
    /// Where the text of an error is cut, in bytes; [`DEFAULT_MAX_ERROR_BYTES`].
    pub error_bytes: usize,
    /// The most jobs of one batch; [`DEFAULT_MAX_BATCH_JOBS`].
    pub batch_jobs: usize,
    /// How old an explicit id may be; [`DEFAULT_IDEMPOTENCY_WINDOW`].
    pub idempotency_window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes: DEFAULT_MAX_PAYLOAD_BYTES,
            result_bytes: DEFAULT_MAX_RESULT_BYTES,
            error_bytes: DEFAULT_MAX_ERROR_BYTES,
            batch_jobs: DEFAULT_MAX_BATCH_JOBS,
            idempotency_window: DEFAULT_IDEMPOTENCY_WINDOW,
        }
    }
}

impl Limits {
    /// Sets the largest payload, in bytes.
    #[must_use]
    pub const fn payload_bytes(mut self, payload_bytes: usize) -> Self {
        self.payload_bytes = payload_bytes;
        self
    }

    /// Sets the largest result, in bytes.
    #[must_use]
    pub const fn result_bytes(mut self, result_bytes: usize) -> Self {
        self.result_bytes = result_bytes;
        self
    }

    /// Sets where the text of an error is cut, in bytes.
    #[must_use]
    pub const fn error_bytes(mut self, error_bytes: usize) -> Self {
        self.error_bytes = error_bytes;
        self
    }

    /// Sets the most jobs of one batch.
    #[must_use]
    pub const fn batch_jobs(mut self, batch_jobs: usize) -> Self {
        self.batch_jobs = batch_jobs;
        self
    }

    /// Sets how old an explicit id may be.
    #[must_use]
    pub const fn idempotency_window(mut self, idempotency_window: Duration) -> Self {
        self.idempotency_window = idempotency_window;
        self
    }
}
