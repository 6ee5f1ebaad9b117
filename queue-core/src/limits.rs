//! The limits and defaults of the workspace.

use std::time::Duration;

/// The maximum length of a [`Kind`](crate::Kind) or [`QueueName`](crate::QueueName), in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The maximum nesting of arrays and objects in a payload.
pub const MAX_JSON_DEPTH: usize = 128;

/// The maximum size of [`Attributes`](crate::Attributes), in bytes.
pub const MAX_ATTRIBUTES_BYTES: usize = 16 << 10;

/// The maximum length of a [unique key](crate::Unique::key), in bytes.
pub const MAX_UNIQUE_KEY_BYTES: usize = 255;

/// The default maximum size of a payload: 1 MiB.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// The default maximum size of a result: 1 MiB.
pub const DEFAULT_MAX_RESULT_BYTES: usize = 1 << 20;

/// The default length at which the text of an error is cut: 8 KiB.
pub const DEFAULT_MAX_ERROR_BYTES: usize = 8 << 10;

/// The default maximum number of jobs in a batch. It is limited because a batch is one transaction,
/// and a heartbeat may have to wait for it.
pub const DEFAULT_MAX_BATCH_JOBS: usize = 100_000;

/// The default time for which an explicit [`JobId`](crate::JobId) prevents a second insert. Jobs
/// whose id is younger are never pruned, and older explicit ids are refused.
pub const DEFAULT_IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The default maximum number of retries. With the default backoff, the last retry starts about
/// eight hours after the first attempt.
pub const DEFAULT_MAX_RETRIES: u16 = 10;

/// The default timeout of an attempt.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The default delay before the first retry.
pub const DEFAULT_RETRY_BASE: Duration = Duration::from_secs(30);

/// The default maximum delay before a retry.
pub const DEFAULT_RETRY_CAP: Duration = Duration::from_secs(6 * 60 * 60);

/// The default random part of a delay, in percent.
pub const DEFAULT_RETRY_JITTER: u8 = 20;

/// The default number of [events](crate::JobQueue::events) that a queue keeps for those who read
/// slowly.
pub const DEFAULT_EVENT_BUFFER: usize = 1024;

/// The default interval between two heartbeats of a worker.
pub const DEFAULT_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// The default time after its last heartbeat at which a worker may be marked lost.
pub const DEFAULT_WORKER_EXPIRY: Duration = Duration::from_secs(15);

/// The default time between the timeout of a job and the deadline of its lease.
pub const DEFAULT_LEASE_GRACE: Duration = Duration::from_secs(30);

/// The default time for which a completed or cancelled job is kept.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The default time for which a dead job is kept.
pub const DEFAULT_DEAD_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The shortest interval of a [schedule](crate::Schedule::every).
pub const MIN_SCHEDULE_INTERVAL: Duration = Duration::from_secs(1);

/// The default maximum number of missed slots that [fire](crate::CatchUp::all).
pub const DEFAULT_CATCH_UP: u32 = 100;

/// The greatest number of slots of a schedule that one request inserts.
pub const MAX_CATCH_UP: u32 = 1000;

/// How late a slot still fires whose schedule makes up for [no](crate::CatchUp::None) missed slot.
/// It is longer than the time between two looks of the workers.
pub const CATCH_UP_GRACE: Duration = Duration::from_secs(60);

/// The maximum number of slots that are counted as missed in one outage.
pub const MAX_COUNTED_MISSES: usize = 1000;

/// The interval between two looks at a job for which a slot [waits](crate::Overlap::Wait).
pub const OVERLAP_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The greatest size of all payloads that a schedule inserts at once when it catches up.
pub const MAX_CATCH_UP_BYTES: usize = 64 << 20;

/// The number of the last slots whose outcome is stored with a schedule.
pub const MAX_RECENT_FIRES: usize = 10;

/// The number of next slots that a [record](crate::ScheduleRecord) shows.
pub const SHOWN_SLOTS: usize = 5;

/// The default time after which callers that wait for jobs ask the storage again, in case that the
/// announcement of an end was lost.
pub const DEFAULT_RESULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of awaited jobs in one request. It is limited because the reply has their
/// results, and because the request locks the rows of some backends.
pub const MAX_WATCHED_JOBS: usize = 1000;

/// The limits of a submission and of a result. They are the same for every backend.
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
    /// The maximum size of a payload in bytes (default: [`DEFAULT_MAX_PAYLOAD_BYTES`]).
    pub payload_bytes: usize,
    /// The maximum size of a result in bytes (default: [`DEFAULT_MAX_RESULT_BYTES`]).
    pub result_bytes: usize,
    /// The length at which the text of an error is cut, in bytes (default:
    /// [`DEFAULT_MAX_ERROR_BYTES`]).
    pub error_bytes: usize,
    /// The maximum number of jobs in a batch (default: [`DEFAULT_MAX_BATCH_JOBS`]).
    pub batch_jobs: usize,
    /// The maximum age of an explicit id (default: [`DEFAULT_IDEMPOTENCY_WINDOW`]).
    pub idempotency_window: Duration,
    /// The time after which callers that [wait](crate::JobQueue::wait) ask the storage again, at
    /// least 1 ms (default: [`DEFAULT_RESULT_POLL_INTERVAL`]).
    pub result_poll_interval: Duration,
    /// The number of [events](crate::JobQueue::events) that a queue keeps for those who read slowly
    /// (default: [`DEFAULT_EVENT_BUFFER`]; 1 to 1,048,576, rounded up to a power of two).
    pub event_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes: DEFAULT_MAX_PAYLOAD_BYTES,
            result_bytes: DEFAULT_MAX_RESULT_BYTES,
            error_bytes: DEFAULT_MAX_ERROR_BYTES,
            batch_jobs: DEFAULT_MAX_BATCH_JOBS,
            idempotency_window: DEFAULT_IDEMPOTENCY_WINDOW,
            result_poll_interval: DEFAULT_RESULT_POLL_INTERVAL,
            event_buffer: DEFAULT_EVENT_BUFFER,
        }
    }
}

impl Limits {
    /// Sets the maximum size of a payload, in bytes.
    #[must_use]
    pub const fn payload_bytes(mut self, payload_bytes: usize) -> Self {
        self.payload_bytes = payload_bytes;
        self
    }

    /// Sets the maximum size of a result, in bytes.
    #[must_use]
    pub const fn result_bytes(mut self, result_bytes: usize) -> Self {
        self.result_bytes = result_bytes;
        self
    }

    /// Sets the length at which the text of an error is cut, in bytes.
    #[must_use]
    pub const fn error_bytes(mut self, error_bytes: usize) -> Self {
        self.error_bytes = error_bytes;
        self
    }

    /// Sets the maximum number of jobs in a batch.
    #[must_use]
    pub const fn batch_jobs(mut self, batch_jobs: usize) -> Self {
        self.batch_jobs = batch_jobs;
        self
    }

    /// Sets the maximum age of an explicit id.
    #[must_use]
    pub const fn idempotency_window(mut self, idempotency_window: Duration) -> Self {
        self.idempotency_window = idempotency_window;
        self
    }

    /// Sets the time after which callers that [wait](crate::JobQueue::wait) ask the storage again.
    /// All of them share one request. A longer time only delays callers whose wake-up was lost.
    #[must_use]
    pub const fn result_poll_interval(mut self, interval: Duration) -> Self {
        self.result_poll_interval = interval;
        self
    }

    /// Sets the number of [events](crate::JobQueue::events) that a queue keeps for those who read
    /// slowly.
    #[must_use]
    pub const fn event_buffer(mut self, events: usize) -> Self {
        self.event_buffer = events;
        self
    }
}
