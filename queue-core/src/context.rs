//! The job that a handler runs.

mod attempt_state;
mod complete;
mod follow_ups;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "runtime")]
use crate::backend::ClaimedJob;
use crate::limits::{DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT};
use crate::payload::to_json;
use crate::state::StateMap;
use crate::{
    Attributes, ClaimId, Enqueue, Error, ErrorKind, IntoJob, JobId, JobQueue, Kind, QueueName, Result,
    ResultCapture, Task, Token,
};

pub(crate) use attempt_state::AttemptState;
pub use complete::Complete;

/// The progress of a job, as its handler reported it last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The number of steps done.
    pub done: u64,
    /// The total number of steps.
    pub total: u64,
}

/// The time until which handlers may run during a shutdown; empty before the shutdown.
pub(crate) type ShutdownDeadline = Arc<OnceLock<Instant>>;

/// What all jobs of a worker on one backend share.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerContext {
    pub(crate) state: StateMap,
    pub(crate) shutdown: ShutdownDeadline,
    pub(crate) jobs: Option<JobQueue>,
}

/// The job that a handler runs. Clones share the job.
///
/// A test can create it without a backend or a worker:
///
/// ```
/// use queue_core::{JobContext, Kind};
///
/// struct Greeting(&'static str);
///
/// let context = JobContext::new(Kind::new("greet")?);
/// let context = context.with_attempt(2).with_state(Greeting("hello"));
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
    capture: Option<ResultCapture>,
    claim: Option<ClaimId>,
    attempt_state: Arc<AttemptState>,
    worker: Arc<WorkerContext>,
}

impl JobContext {
    /// Creates the first attempt of a job of this kind, with a new id and the options of the
    /// library. [`of`](Self::of) has those of a task.
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
            capture: None,
            claim: None,
            attempt_state: Arc::default(),
            worker: Arc::default(),
        }
    }

    /// Creates the first attempt of a job of this task, with its options. It is for tests of
    /// handlers:
    ///
    /// ```
    /// # use queue_core::{JobContext, Task, TaskOptions};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Greet { name: String }
    /// # impl Task for Greet {
    /// #     const KIND: &'static str = "greet";
    /// #     type Output = ();
    /// #     fn options() -> TaskOptions { TaskOptions::new().max_retries(5) }
    /// # }
    /// let context = JobContext::of::<Greet>()?.with_attempt(6);
    /// assert!(context.is_last_attempt()); // the task has 5 retries
    /// # Ok::<(), queue_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the kind is not a valid name.
    pub fn of<T: Task>() -> Result<Self> {
        let options = T::options();
        let context = Self::new(Kind::new(T::KIND)?)
            .with_max_retries(options.max_retries.unwrap_or(DEFAULT_MAX_RETRIES))
            .with_timeout(options.timeout.unwrap_or(DEFAULT_TIMEOUT));
        Ok(context.with_queue(options.queue.unwrap_or_default()))
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: JobId) -> Self {
        self.id = id;
        self
    }

    /// Sets the queue.
    #[must_use]
    pub fn with_queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the attempt: 1, 2, …
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the maximum number of retries.
    #[must_use]
    pub fn with_max_retries(mut self, max_retries: u16) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the attributes.
    #[must_use]
    pub fn with_attributes(mut self, attributes: impl Into<Option<Attributes>>) -> Self {
        self.attributes = attributes.into();
        self
    }

    /// Sets the timeout, which starts now.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.ends = Instant::now().checked_add(timeout);
        self
    }

    /// Sets the cancellation token.
    #[must_use]
    pub fn with_cancellation(mut self, cancellation: CancellationToken) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// Sets the lease under which the job runs, and its id. [`complete`](Self::complete) needs it.
    #[must_use]
    pub fn with_lease(mut self, token: Token) -> Self {
        self.id = token.job;
        self.claim = Some(token.claim);
        self
    }

    /// Sets the capture that receives the result.
    #[must_use]
    pub fn with_result_capture(mut self, capture: ResultCapture) -> Self {
        self.capture = Some(capture);
        self
    }

    /// Adds a value of application state.
    #[must_use]
    pub fn with_state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.worker).state.insert(Arc::new(value));
        self
    }

    /// Sets the queue handle on which the handler enqueues.
    #[must_use]
    pub fn with_jobs(mut self, jobs: JobQueue) -> Self {
        Arc::make_mut(&mut self.worker).jobs = Some(jobs);
        self
    }

    /// Returns the job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Returns the lease under which the job runs. Its token is unique for each claim, so that an
    /// application can store it and refuse the writes of an older attempt. `None` in a test whose
    /// context was made without [`with_lease`](Self::with_lease).
    #[must_use]
    pub fn lease(&self) -> Option<Token> {
        self.claim.map(|claim| Token { job: self.id, claim })
    }

    /// Returns the job's kind.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns the job's queue.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Returns the number of this attempt: 1, 2, …
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the maximum number of retries.
    #[must_use]
    pub fn max_retries(&self) -> u16 {
        self.max_retries
    }

    /// Returns the job's attributes.
    #[must_use]
    pub const fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref()
    }

    /// Returns whether the job is dead if this attempt fails.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }

    /// Returns the token that is cancelled when the handler must stop. The reasons are a timeout, a
    /// cancel, a lost lease, and the deadline of the worker's shutdown.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Returns the time until which the handler may run. It is the end of the timeout, or the
    /// deadline of a shutdown if that is earlier. `None` if there is neither.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match (self.ends, self.worker.shutdown.get().copied()) {
            (Some(ends), Some(shutdown)) => Some(ends.min(shutdown)),
            (ends, shutdown) => ends.or(shutdown),
        }
    }

    /// Sets the result of this attempt, and replaces an earlier one. It is stored in the
    /// transaction that completes the job, and dropped if the attempt does not complete it. Without
    /// a [`ResultCapture`], this does nothing.
    pub fn capture_result(&self, bytes: impl Into<Vec<u8>>) {
        if let Some(capture) = &self.capture {
            capture.put(bytes.into());
        }
    }

    /// Calls [`capture_result`](Self::capture_result) with a value written as JSON.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the value cannot be serialised, or contains a
    /// number that is NaN or infinite. JSON cannot hold such a number.
    pub fn capture_json<R: Serialize + ?Sized>(&self, value: &R) -> Result<()> {
        self.capture_result(to_json("write a result", value)?);
        Ok(())
    }

    /// Reports the progress of the job. The worker's next heartbeat stores it.
    pub fn set_progress(&self, done: u64, total: u64) {
        self.attempt_state.set_progress(Progress { done, total });
    }

    /// Returns the last progress that was reported in this attempt.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.attempt_state.progress()
    }

    /// Returns the application state of this type.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), which names the type, if the worker has no such
    /// state. With [`TaskOptions::needs_state`](crate::TaskOptions::needs_state), the worker checks
    /// this when it starts.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        self.worker.state.get().ok_or_else(|| {
            let message = format!("the worker has no state of type `{}`", std::any::type_name::<T>());
            Error::new(ErrorKind::NotFound, "look up application state", message)
        })
    }

    /// Returns the handle of the queue that stores the job.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) in a test whose context was made without
    /// [`with_jobs`](Self::with_jobs).
    pub fn jobs(&self) -> Result<&JobQueue> {
        self.worker.jobs.as_ref().ok_or_else(|| {
            let message = "this context was made without a queue handle (see `JobContext::with_jobs`)";
            Error::new(ErrorKind::NotFound, "use the queue of a job", message)
        })
    }

    /// Enqueues a job in the same database, as [`JobQueue::enqueue`]. It is stored when the request
    /// is awaited, whether or not this attempt succeeds: a retry enqueues it again.
    /// [`Enqueue::on_success`] stores it exactly if this job is completed.
    pub fn enqueue<J: IntoJob>(&self, job: J) -> Enqueue<J> {
        match self.jobs() {
            Ok(jobs) => jobs.enqueue(job),
            Err(error) => Enqueue::refused(error),
        }
    }

    /// Enqueues a batch in the same database, as [`JobQueue::enqueue_batch`].
    pub fn enqueue_batch<J: IntoJob>(&self, batch: impl IntoIterator<Item = J>) -> Enqueue<Vec<J>> {
        match self.jobs() {
            Ok(jobs) => jobs.enqueue_batch(batch),
            Err(error) => Enqueue::refused(error),
        }
    }

    #[cfg(feature = "runtime")]
    pub(crate) const fn attempt_state(&self) -> &Arc<AttemptState> {
        &self.attempt_state
    }

    /// The context of a claimed job, which may run until `ends`.
    #[cfg(feature = "runtime")]
    pub(crate) fn claimed(job: &ClaimedJob, worker: Arc<WorkerContext>, ends: Option<Instant>) -> Self {
        Self {
            id: job.token.job,
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            attempt: job.attempt,
            max_retries: job.max_retries,
            attributes: job.attributes.clone(),
            ends,
            cancellation: CancellationToken::new(),
            capture: None,
            claim: Some(job.token.claim),
            attempt_state: Arc::default(),
            worker,
        }
    }
}
