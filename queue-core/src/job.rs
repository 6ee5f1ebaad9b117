//! Jobs: the options of a kind, a job to submit, and the stored job.

use std::time::Duration;

use crate::limits::{DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT};
use crate::time::whole_micros;
use crate::{
    Attributes, Backoff, JobId, Kind, Payload, QueueName, RetryPolicy, Timestamp, Unique, UniqueKey,
};

/// The options of the jobs of a kind. A single job may override them.
///
/// ```
/// use std::time::Duration;
/// use queue_core::{QueueName, TaskOptions};
///
/// let options = TaskOptions::new()
///     .max_retries(3)
///     .priority(10)
///     .timeout(Duration::from_secs(30))
///     .queue(QueueName::new("mail")?);
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TaskOptions {
    pub(crate) max_retries: Option<u16>,
    pub(crate) priority: Option<i16>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) queue: Option<QueueName>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) needs: Vec<crate::state::StateType>,
}

impl TaskOptions {
    /// Creates options with the defaults of the library.
    pub const fn new() -> Self {
        Self { max_retries: None, priority: None, timeout: None, queue: None, retry: None, needs: Vec::new() }
    }

    /// Sets the maximum number of retries (default: [`DEFAULT_MAX_RETRIES`]).
    pub const fn max_retries(mut self, retries: u16) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Sets the priority; higher is more urgent (default: 0).
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the timeout of one attempt (default: [`DEFAULT_TIMEOUT`]).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the queue (default: `default`).
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets the delays of retries (default: [`Backoff::default`]). They are not stored with the
    /// jobs: see [`RetryPolicy`].
    pub fn retry(mut self, policy: impl Into<RetryPolicy>) -> Self {
        self.retry = Some(policy.into());
        self
    }

    /// Declares that the handler reads the application state `T`. A worker without it does not
    /// start, because otherwise each job would fail.
    pub fn needs_state<T: Send + Sync + 'static>(mut self) -> Self {
        self.needs.push(crate::state::StateType::of::<T>());
        self
    }
}

/// A job to submit: a kind, a payload, and the options that differ from those of its kind.
///
/// ```
/// use std::time::Duration;
/// use queue_core::{Kind, NewJob, Payload, Timestamp};
///
/// let job = NewJob::new(Kind::new("send-email")?, Payload::json(r#"{"to":"ada"}"#)?)
///     .priority(5)
///     .run_at(Timestamp::now().saturating_add(Duration::from_secs(60)));
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct NewJob {
    pub(crate) id: Option<JobId>,
    pub(crate) kind: Kind,
    pub(crate) payload: Payload,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) max_retries: Option<u16>,
    pub(crate) priority: Option<i16>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) queue: Option<QueueName>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) attributes: Option<Attributes>,
    pub(crate) unique: Option<Box<Unique>>,
}

impl NewJob {
    /// Creates a job with the options of its kind.
    pub const fn new(kind: Kind, payload: Payload) -> Self {
        Self {
            id: None,
            kind,
            payload,
            run_at: None,
            max_retries: None,
            priority: None,
            timeout: None,
            queue: None,
            backoff: None,
            attributes: None,
            unique: None,
        }
    }

    /// Sets the id. A second enqueue with the same id and content inserts no second job within
    /// [`Limits::idempotency_window`](crate::Limits::idempotency_window).
    pub const fn id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the earliest time to run (default: the time of the insert).
    pub const fn run_at(mut self, time: Timestamp) -> Self {
        self.run_at = Some(time);
        self
    }

    /// Sets the maximum number of retries.
    pub const fn max_retries(mut self, retries: u16) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Sets the priority; higher is more urgent.
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the timeout of one attempt.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the queue.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets the delays of retries of this job. They are stored with it, and replace the
    /// [`RetryPolicy`] of its kind.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Sets the attributes, for example tags and trace context.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(attributes);
        self
    }

    /// Inserts the job only if no other job of its kind holds the same key.
    pub fn unique(mut self, unique: Unique) -> Self {
        self.unique = Some(Box::new(unique));
        self
    }

    /// Takes the options that the job does not set from `defaults`, except the delays of retries.
    /// Those are not stored, so that a policy that is changed applies to stored jobs too.
    pub(crate) fn with_defaults(mut self, defaults: &TaskOptions) -> Self {
        self.max_retries = self.max_retries.or(defaults.max_retries);
        self.priority = self.priority.or(defaults.priority);
        self.timeout = self.timeout.or(defaults.timeout);
        self.queue = self.queue.or_else(|| defaults.queue.clone());
        self
    }

    /// Sets every option but the delays of retries to the job's own value, else to that of its
    /// kind, else to the default of the library. `unique` is its key.
    pub(crate) fn resolve(self, id: JobId, unique: Option<UniqueKey>, defaults: &TaskOptions) -> JobSpec {
        let job = self.with_defaults(defaults);
        JobSpec {
            id,
            kind: job.kind,
            payload: job.payload,
            run_at: job.run_at,
            max_retries: job.max_retries.unwrap_or(DEFAULT_MAX_RETRIES),
            priority: job.priority.unwrap_or_default(),
            timeout: whole_micros(job.timeout.unwrap_or(DEFAULT_TIMEOUT)),
            queue: job.queue.unwrap_or_default(),
            backoff: job.backoff,
            attributes: job.attributes,
            unique,
        }
    }
}

/// A checked job with all options set, as a backend stores it. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobSpec {
    /// Its id.
    pub id: JobId,
    /// Its kind, which selects the handler.
    pub kind: Kind,
    /// The exact JSON text.
    pub payload: Payload,
    /// The earliest time to run; `None` means the time of the insert.
    pub run_at: Option<Timestamp>,
    /// The maximum number of retries. The number of attempts is at most one more.
    pub max_retries: u16,
    /// Its priority; higher is more urgent.
    pub priority: i16,
    /// The timeout of one attempt, in whole microseconds and at most `i64::MAX` of them.
    pub timeout: Duration,
    /// Its queue.
    pub queue: QueueName,
    /// The delays of retries; `None` means that the worker decides. Its durations are not rounded,
    /// and can be as long as [`Duration::MAX`].
    pub backoff: Option<Backoff>,
    /// Its attributes. A backend must store the text unchanged, and never reads it.
    pub attributes: Option<Attributes>,
    /// Its key, if it is unique among the jobs of its kind. Only for a backend that declares
    /// [`unique_keys`](crate::backend::Capabilities::unique_keys).
    pub unique: Option<UniqueKey>,
}

impl JobSpec {
    /// Creates a job in the default queue, to run at once, with the defaults of the library.
    #[must_use]
    pub fn new(id: JobId, kind: Kind, payload: Payload) -> Self {
        Self {
            id,
            kind,
            payload,
            run_at: None,
            max_retries: DEFAULT_MAX_RETRIES,
            priority: 0,
            timeout: DEFAULT_TIMEOUT,
            queue: QueueName::default(),
            backoff: None,
            attributes: None,
            unique: None,
        }
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    /// Sets the kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the payload.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Sets the earliest time to run; `None` means the time of the insert.
    #[must_use]
    pub fn run_at(mut self, run_at: impl Into<Option<Timestamp>>) -> Self {
        self.run_at = run_at.into();
        self
    }

    /// Sets the maximum number of retries.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the priority; higher is more urgent.
    #[must_use]
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the timeout of one attempt, in whole microseconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the queue.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the delays of retries; `None` means that the worker decides.
    #[must_use]
    pub fn backoff(mut self, backoff: impl Into<Option<Backoff>>) -> Self {
        self.backoff = backoff.into();
        self
    }

    /// Sets the attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: impl Into<Option<Attributes>>) -> Self {
        self.attributes = attributes.into();
        self
    }

    /// Sets the unique key.
    #[must_use]
    pub fn unique(mut self, unique: impl Into<Option<UniqueKey>>) -> Self {
        self.unique = unique.into();
        self
    }

    /// Returns the maximum number of attempts.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        u32::from(self.max_retries) + 1
    }

    /// Returns whether `self`, submitted again, is the same job as `stored`, which was inserted at
    /// `created_at`.
    ///
    /// If `self` has no `run_at`, the stored `run_at` must be `created_at`. Attributes are not
    /// compared, because a repeated enqueue has another trace. The stored attributes stay.
    #[must_use]
    pub fn is_same_as(&self, stored: &Self, created_at: Timestamp) -> bool {
        let comparable = |job: &Self| job.clone().run_at(job.run_at.unwrap_or(created_at)).attributes(None);
        comparable(self) == comparable(stored)
    }

    /// Returns the job with durations in whole microseconds, for a storage that rounds them.
    #[must_use]
    pub fn in_whole_micros(&self) -> Self {
        let whole_backoff = |backoff: Backoff| {
            let (base, cap) = (whole_micros(backoff.base()), whole_micros(backoff.cap()));
            Backoff::new(base, cap).with_jitter(backoff.jitter())
        };
        self.clone().timeout(whole_micros(self.timeout)).backoff(self.backoff.map(whole_backoff))
    }
}
