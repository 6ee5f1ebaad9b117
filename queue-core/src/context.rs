//! What a handler knows of the job it runs.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::limits::{DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT};
use crate::payload::to_json;
use crate::poison::ignore_poison;
use crate::state::StateMap;
use crate::{Attributes, Error, JobId, Kind, QueueName, Result, ResultCapture};

/// How far a job has come, as its handler last said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// The moment until which handlers may run once the worker shuts down; empty before.
pub(crate) type ShutdownDeadline = Arc<OnceLock<Instant>>;

/// The job that a handler runs. Clones are the same job.
///
/// A test builds one without a backend or a worker:
///
/// ```
/// use queue_core::{JobContext, Kind};
///
/// struct Greeting(&'static str);
///
/// let context = JobContext::new(Kind::new("greet")?).with_attempt(2).with_state(Greeting("hello"));
/// assert_eq!(context.attempt(), 2);
/// assert_eq!(context.state::<Greeting>()?.0, "hello");
/// assert!(context.state::<String>().is_err());
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct JobContext {
    id: JobId,
    kind: Kind,
    queue: QueueName,
    attempt: u32,
    max_retries: u16,
    attributes: Option<Attributes>,
    ends: Option<Instant>,
    cancellation: CancellationToken,
    shutdown: ShutdownDeadline,
    capture: Option<ResultCapture>,
    progress: Arc<Mutex<Option<Progress>>>,
    state: Arc<StateMap>,
}

impl JobContext {
    /// The first attempt of a job of this kind, with a new id and the default options.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            id: JobId::generate(),
            kind,
            queue: QueueName::default(),
            attempt: 1,
            max_retries: DEFAULT_MAX_RETRIES,
            attributes: None,
            ends: Instant::now().checked_add(DEFAULT_TIMEOUT),
            cancellation: CancellationToken::new(),
            shutdown: Arc::default(),
            capture: None,
            progress: Arc::default(),
            state: Arc::default(),
        }
    }

    /// The same with another id.
    #[must_use]
    pub fn with_id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    /// The same in another queue.
    #[must_use]
    pub fn with_queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// The same on another attempt: 1, 2, …
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same with other retries.
    #[must_use]
    pub fn with_max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// The same with these attributes.
    #[must_use]
    pub fn with_attributes(mut self, attributes: impl Into<Option<Attributes>>) -> Self {
        self.attributes = attributes.into();
        self
    }

    /// The same with a timeout that starts now.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.ends = Instant::now().checked_add(timeout);
        self
    }

    /// The same with another cancellation token.
    #[must_use]
    pub fn with_cancellation(mut self, cancellation: CancellationToken) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// The same with a place for the result.
    #[must_use]
    pub fn with_result_capture(mut self, capture: ResultCapture) -> Self {
        self.capture = Some(capture);
        self
    }

    /// The same with one more value of application state.
    #[must_use]
    pub fn with_state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.state).insert(Arc::new(value));
        self
    }

    /// The job's name.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The job's kind.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The job's queue.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Which attempt this is: 1, 2, …
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How often the job is tried again.
    #[must_use]
    pub fn max_retries(&self) -> u16 {
        self.max_retries
    }

    /// What is stored with the job beside its payload.
    #[must_use]
    pub const fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref()
    }

    /// Whether a failure now is the end of the job.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }

    /// Cancelled when the job should stop: its time is over, it was cancelled, its lease was lost,
    /// or the worker's shutdown has reached its deadline.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Until when the handler may run: the shutdown deadline once the worker shuts down, or the
    /// job's own timeout if that is sooner. `None` if neither is in sight.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match (self.ends, self.shutdown.get().copied()) {
            (Some(ends), Some(shutdown)) => Some(ends.min(shutdown)),
            (ends, shutdown) => ends.or(shutdown),
        }
    }

    /// Leaves the result of this attempt; the last one counts. It is stored in the transaction that
    /// completes the job, and dropped if the attempt ends otherwise. Does nothing where there is no
    /// [`ResultCapture`].
    pub fn capture_result(&self, bytes: impl Into<Vec<u8>>) {
        if let Some(capture) = &self.capture {
            capture.put(bytes.into());
        }
    }

    /// [`capture_result`](Self::capture_result) of a value written as JSON.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the value cannot be serialised, or contains a number that is NaN or
    /// infinite, which JSON cannot hold.
    pub fn capture_json<R: Serialize + ?Sized>(&self, value: &R) -> Result<()> {
        self.capture_result(to_json("write a result", value)?);
        Ok(())
    }

    /// Says how far the job has come. It is stored with the worker's next heartbeat.
    pub fn set_progress(&self, done: u64, total: u64) {
        let progress = Progress { done, total };
        *ignore_poison(self.progress.lock()) = Some(progress);
    }

    /// How far the job has come, as last said in this attempt.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        ignore_poison(self.progress.lock()).clone()
    }

    /// The application state of this type.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), naming the type, if the worker was not given one.
    /// [`TaskOptions::needs_state`](crate::TaskOptions::needs_state) has that checked when the
    /// worker starts.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.state.get().ok_or_else(|| {
            let message = format!("the worker was given no `{}`", std::any::type_name::<T>());
            Error::new(crate::ErrorKind::NotFound, "look up application state", message)
        })
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn with_end(mut self, ends: Option<Instant>) -> Self {
        self.ends = ends;
        self
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn with_shared_state(mut self, state: Arc<StateMap>) -> Self {
        self.state = state;
        self
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn with_shutdown(mut self, shutdown: ShutdownDeadline) -> Self {
        self.shutdown = shutdown;
        self
    }
}
