//! What a caller submits, and what is stored of it.

use std::time::Duration;

use crate::limits::{DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT};
use crate::{
    Attributes, Backoff, JobId, Kind, Payload, QueueName, RetryPolicy, Timestamp, saturating_micros,
};

/// How the jobs of a kind run, unless a single job says otherwise.
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
    pub(crate) needs: Vec<crate::state::Need>,
}

impl TaskOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self { max_retries: None, priority: None, timeout: None, queue: None, retry: None, needs: Vec::new() }
    }

    /// How often a failed job is tried again; [`DEFAULT_MAX_RETRIES`] unless said.
    pub const fn max_retries(mut self, retries: u16) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Higher is more urgent; 0 unless said.
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long one attempt may take; [`DEFAULT_TIMEOUT`] unless said.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The queue; `default` unless said.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// When a failed job is tried again; [`Backoff::default`] unless said.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Says that the handler reads the application state `T`: a worker that was not given one
    /// refuses to start, rather than fail each job.
    pub fn needs_state<T: Send + Sync + 'static>(mut self) -> Self {
        self.needs.push(crate::state::Need::of::<T>());
        self
    }
}

/// A job to submit: a kind, a payload, and whatever differs from the defaults of its kind.
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
}

impl NewJob {
    /// A job with the defaults of its kind.
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
        }
    }

    /// Its id, made by the caller: enqueueing again with the same id and content makes no second
    /// job, within [`Limits::idempotency_window`](crate::Limits::idempotency_window).
    pub const fn id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// The earliest time to run; at once unless said.
    pub const fn run_at(mut self, time: Timestamp) -> Self {
        self.run_at = Some(time);
        self
    }

    /// How often it is tried again after a failure.
    pub const fn max_retries(mut self, retries: u16) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Higher is more urgent.
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long one attempt may take.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The queue.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// When it is tried again.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// What is stored with it beside the payload, for tags, trace context and the like.
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(attributes);
        self
    }

    /// The job with what it leaves open taken from `defaults`.
    pub(crate) fn with_defaults(mut self, defaults: &TaskOptions) -> Self {
        self.max_retries = self.max_retries.or(defaults.max_retries);
        self.priority = self.priority.or(defaults.priority);
        self.timeout = self.timeout.or(defaults.timeout);
        self.queue = self.queue.or_else(|| defaults.queue.clone());
        self.backoff = self.backoff.or(match &defaults.retry {
            Some(RetryPolicy::Exponential(backoff)) => Some(*backoff),
            Some(RetryPolicy::Custom(_)) | None => None,
        });
        self
    }

    /// Every choice made: the job's own, else the defaults of its kind, else those of the library.
    pub(crate) fn resolve(self, id: JobId, defaults: &TaskOptions) -> JobSpec {
        let job = self.with_defaults(defaults);
        JobSpec::new(id, job.kind, job.payload)
            .run_at(job.run_at)
            .max_retries(job.max_retries.unwrap_or(DEFAULT_MAX_RETRIES))
            .priority(job.priority.unwrap_or_default())
            .timeout(whole_micros(job.timeout.unwrap_or(DEFAULT_TIMEOUT)))
            .queue(job.queue.unwrap_or_default())
            .backoff(job.backoff)
            .attributes(job.attributes)
    }
}

/// As it is stored, so that what comes back equals what went in.
fn whole_micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(saturating_micros(duration)).unwrap_or_default())
}

/// A job as a backend stores it: checked, with every choice made. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobSpec {
    /// Its name.
    pub id: JobId,
    /// What picks its handler.
    pub kind: Kind,
    /// The exact JSON text.
    pub payload: Payload,
    /// The earliest time to run; `None` is the moment of the insert.
    pub run_at: Option<Timestamp>,
    /// How often it is tried again: attempts are at most one more.
    pub max_retries: u16,
    /// Higher is more urgent.
    pub priority: i16,
    /// How long one attempt may take, in whole microseconds and at most `i64::MAX` of them.
    pub timeout: Duration,
    /// Its lane.
    pub queue: QueueName,
    /// When it is tried again; `None` leaves that to the worker that runs it. Its durations are not
    /// rounded and can be as long as [`Duration::MAX`].
    pub backoff: Option<Backoff>,
    /// What is stored with it beside the payload. A backend stores the text as it is, and never
    /// reads it.
    pub attributes: Option<Attributes>,
}

impl JobSpec {
    /// A job in the default queue, to run at once, with the library's defaults.
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
        }
    }

    /// With another id.
    #[must_use]
    pub fn id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    /// With another kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// With another payload.
    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// With this earliest time to run; `None` is the moment of the insert.
    #[must_use]
    pub fn run_at(mut self, run_at: impl Into<Option<Timestamp>>) -> Self {
        self.run_at = run_at.into();
        self
    }

    /// Tried again so often.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// With this priority; higher is more urgent.
    #[must_use]
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// With this time for an attempt, in whole microseconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// In this queue.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// Tried again after these delays; `None` leaves them to the worker.
    #[must_use]
    pub fn backoff(mut self, backoff: impl Into<Option<Backoff>>) -> Self {
        self.backoff = backoff.into();
        self
    }

    /// With these attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: impl Into<Option<Attributes>>) -> Self {
        self.attributes = attributes.into();
        self
    }

    /// The most attempts it is charged.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        u32::from(self.max_retries) + 1
    }

    /// Whether `self`, submitted again, is the job that is stored as `stored` since `created_at`.
    ///
    /// A job without a time of its own runs from its insert on, so there the stored time must be
    /// that. Attributes are not compared, because a repeated enqueue has another trace; the
    /// attributes stored first stay.
    #[must_use]
    pub fn is_same_as(&self, stored: &Self, created_at: Timestamp) -> bool {
        let comparable = |job: &Self| job.clone().run_at(job.run_at.unwrap_or(created_at)).attributes(None);
        comparable(self) == comparable(stored)
    }

    /// The job as a storage returns it that keeps durations in whole microseconds.
    #[must_use]
    pub fn in_whole_micros(&self) -> Self {
        let whole =
            |duration| Duration::from_micros(u64::try_from(saturating_micros(duration)).unwrap_or_default());
        let whole_backoff = |backoff: Backoff| {
            let (base, cap) = (whole(backoff.base()), whole(backoff.cap()));
            Backoff::new(base, cap, backoff.jitter()).unwrap_or(backoff)
        };
        self.clone().timeout(whole(self.timeout)).backoff(self.backoff.map(whole_backoff))
    }
}

/// The answer to one submitted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submitted {
    /// The job's name.
    pub id: JobId,
    /// What became of the submission.
    pub insertion: Insertion,
}

impl Submitted {
    /// The answer for a job.
    #[must_use]
    pub const fn new(id: JobId, insertion: Insertion) -> Self {
        Self { id, insertion }
    }

    /// Whether this call made the job.
    #[must_use]
    pub const fn is_new(self) -> bool {
        matches!(self.insertion, Insertion::New)
    }
}

/// What became of a submitted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// This call made the job.
    New,
    /// The same job, with the same id, was there already. Nothing was changed.
    Known,
}
