//! The application's handle on a queue.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

#[cfg(not(feature = "runtime"))]
use crate::JobSpec;
use crate::backend::{self, CancelReply, CancelRequest, Inspect, Manage, RetryReply, RetryRequest};
use crate::clock::Clock;
#[cfg(feature = "runtime")]
use crate::parked::ParkedClaims;
use crate::poison::ignore_poison;
use crate::waiters::Waiters;
use crate::{
    Backend, Enqueue, Enqueuer, Error, ErrorKind, Handler, IntoJob, JobId, Kind, Limits, NewJob, Prepared,
    Queue, Result, Submitted, TaskOptions, border, enqueuer,
};

/// The handler of a kind, and its options.
#[cfg_attr(not(feature = "runtime"), expect(dead_code, reason = "only a worker runs handlers"))]
pub(crate) struct Registration {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) options: TaskOptions,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("options", &self.options).finish_non_exhaustive()
    }
}

pub(crate) type Registrations = HashMap<Kind, Arc<Registration>>;

/// Registers the handler of a kind.
///
/// # Errors
/// [`Conflict`](ErrorKind::Conflict) if the kind has one already.
pub(crate) fn add_handler(all: &mut Registrations, kind: Kind, new: Arc<Registration>) -> Result<()> {
    if all.contains_key(&kind) {
        let operation = format!("register a handler for kind `{kind}`");
        return Err(Error::new(ErrorKind::Conflict, operation, "the kind has a handler already"));
    }
    all.insert(kind, new);
    Ok(())
}

struct Shared {
    backend: Arc<dyn Backend>,
    limits: Limits,
    clock: Clock,
    registrations: RwLock<Registrations>,
    waiters: Waiters,
    /// The claims of idle workers that serve this queue.
    #[cfg(feature = "runtime")]
    parked: ParkedClaims,
}

impl Shared {
    fn registrations(&self) -> Registrations {
        ignore_poison(self.registrations.read()).clone()
    }

    fn prepare(&self, jobs: Vec<NewJob>) -> Result<Prepared> {
        static LIBRARY_DEFAULTS: TaskOptions = TaskOptions::new();
        let known = self.registrations();
        let batch = border::prepare(&self.limits, self.clock.now(), jobs, |job| {
            known.get(&job.kind).map_or(&LIBRARY_DEFAULTS, |registration| &registration.options)
        })?;
        let keyed = batch.jobs().iter().find(|job| job.unique.is_some());
        match keyed {
            Some(job) if !self.backend.capabilities().unique_keys => {
                let operation = format!("enqueue a job of kind `{}`", job.kind);
                let message = format!("the backend `{}` supports no unique keys", self.backend.name());
                Err(Error::new(ErrorKind::Unsupported, operation, message))
            }
            _ => Ok(batch),
        }
    }
}

#[cfg(not(feature = "runtime"))]
async fn insert(backend: &dyn Backend, batch: Vec<JobSpec>) -> Result<Vec<Result<Vec<Submitted>>>> {
    Ok(backend.insert(backend::InsertRequest::new(vec![batch])).await?.batches)
}

#[async_trait]
impl Enqueuer for Shared {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        let batch = self.prepare(jobs)?;
        #[cfg(feature = "runtime")]
        let stored = border::submit(batch, |batch| self.parked.insert(&self.backend, batch)).await;
        #[cfg(not(feature = "runtime"))]
        let stored = border::submit(batch, |batch| insert(&*self.backend, batch)).await;
        stored
    }

    async fn dequeue(&self, id: JobId) -> Result<CancelReply> {
        enqueuer::cancel(&*self.backend, id, |request| request).await
    }
}

/// The application's handle on a queue: it enqueues, cancels and inspects jobs, and workers are
/// made of it. Clones share the queue.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{CancelReply, HandlerResult, JobQueue, MemoryBackend, Task, Worker};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Greet { name: String }
///
/// impl Task for Greet { // or `#[derive(Task)]`
///     const KIND: &'static str = "greet";
///     type Output = ();
/// }
///
/// async fn greet(job: Greet) -> HandlerResult {
///     println!("hello {}", job.name);
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let job = jobs.enqueue(Greet { name: "ada".into() }).await?;
/// assert_eq!(jobs.cancel(job.id()).await?, CancelReply::Cancelled);
/// let worker = Worker::new(&jobs).handle(greet).start()?;
/// # drop(worker);
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// It also implements [`Enqueuer`] and [`Queue`], for modules that enqueue or register jobs whose
/// kind is a text.
#[derive(Clone)]
pub struct JobQueue {
    shared: Arc<Shared>,
}

impl JobQueue {
    /// Creates a queue on this backend, with the default limits.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::with_limits(backend, Limits::default())
    }

    /// Creates a queue on this backend, with these limits.
    #[must_use]
    pub fn with_limits(backend: Arc<dyn Backend>, limits: Limits) -> Self {
        Self::with_clock(backend, limits, Clock::System)
    }

    pub(crate) fn with_clock(backend: Arc<dyn Backend>, limits: Limits, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                backend,
                waiters: Waiters::new(limits.result_poll_interval),
                limits,
                clock,
                registrations: RwLock::default(),
                #[cfg(feature = "runtime")]
                parked: ParkedClaims::default(),
            }),
        }
    }

    /// Returns a request that enqueues a job. It is stored when the request is awaited.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use queue_core::{Enqueue, JobQueue, Result, Task};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct ChargeOrder { order: i64 }
    /// # impl Task for ChargeOrder { const KIND: &'static str = "charge"; type Output = (); }
    /// # async fn example(jobs: &JobQueue) -> Result<()> {
    /// let minute = Duration::from_secs(60);
    /// let job = jobs.enqueue(ChargeOrder { order: 7 }).priority(5).run_in(minute).await?;
    /// println!("{} {}", job.id(), job.is_new());
    /// # Ok(()) }
    /// ```
    ///
    /// Each option is the one of the request, else that of the task, else that of the library. The
    /// delays of retries are those of the request, else those of the worker that runs the job: see
    /// [`RetryPolicy`](crate::RetryPolicy).
    pub fn enqueue<J: IntoJob>(&self, job: J) -> Enqueue<J> {
        Enqueue::new(self.clone(), vec![job])
    }

    /// Returns a request that enqueues a batch: all of its jobs, or none.
    ///
    /// ```
    /// # use queue_core::{JobQueue, Result, Task};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct ChargeOrder { order: i64 }
    /// # impl Task for ChargeOrder { const KIND: &'static str = "charge"; type Output = (); }
    /// # async fn example(jobs: &JobQueue) -> Result<()> {
    /// let orders = (1..=3).map(|order| ChargeOrder { order });
    /// let charges = jobs.enqueue_batch(orders).priority(5).await?;
    /// assert_eq!(charges.len(), 3); // in the order of the batch
    /// # Ok(()) }
    /// ```
    pub fn enqueue_batch<J: IntoJob>(&self, batch: impl IntoIterator<Item = J>) -> Enqueue<Vec<J>> {
        Enqueue::new(self.clone(), batch)
    }

    /// Cancels a job, on whatever machine it is. A job that has not started never starts. One that
    /// runs is signalled by its worker: its [token](crate::JobContext::cancellation) is cancelled,
    /// and the job becomes cancelled when its handler stops, unless the handler had ended already
    /// or completes all the same. The reply is then [`Running`](CancelReply::Running). The signal
    /// arrives within a second if the backend announces changes to other processes, and else with
    /// the next heartbeat of the worker (default: 5 s). A handler that does not stop within
    /// [`cancellation_grace`](crate::runtime::WorkerSettings::cancellation_grace) is dropped.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) and [`Unavailable`](ErrorKind::Unavailable): try again. To cancel
    /// a job twice does no harm.
    ///
    /// # Cancellation
    /// If the future is dropped, the job was cancelled, or not.
    pub async fn cancel(&self, id: JobId) -> Result<CancelReply> {
        enqueuer::cancel(&*self.shared.backend, id, CancelRequest::signal_running).await
    }

    /// Makes a finished job ready again: the same job, with the same id and payload, now. It has
    /// as many retries as at first; its attempts go on counting, and the errors of earlier ones
    /// remain. The result of a completed job is removed. A job that is not finished is not changed.
    ///
    /// A job takes its [unique key](crate::Unique) again. If another job holds it by now, the reply
    /// is [`KeyHeld`](RetryReply::KeyHeld) with that job, and nothing is changed.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use queue_core::{EnqueuerExt, JobQueue, MemoryBackend, RetryReply};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
    /// let id = jobs.enqueue_value("send-email", "ada").await?;
    /// jobs.cancel(id).await?;
    /// assert_eq!(jobs.retry(id).await?, RetryReply::Retried);
    /// # Ok::<(), queue_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) and [`Unavailable`](ErrorKind::Unavailable): try again.
    /// [`UnknownOutcome`](ErrorKind::UnknownOutcome): the job may be ready again already. A
    /// repeated retry then replies [`Unfinished`](RetryReply::Unfinished), unless the job has
    /// ended again.
    /// [`Unsupported`](ErrorKind::Unsupported) if the backend does not implement [`Manage`].
    ///
    /// # Cancellation
    /// If the future is dropped, the job is ready again, or not.
    pub async fn retry(&self, id: JobId) -> Result<RetryReply> {
        let replies = self.manage()?.retry(RetryRequest::new(vec![id])).await?;
        replies.first().copied().ok_or_else(|| {
            let message = "the backend returned no result for it";
            Error::new(ErrorKind::Corrupt, format!("retry job {id}"), message)
        })
    }

    /// Checks a batch, and fills in the options that its jobs do not set. Nothing is stored.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if a job is refused.
    pub fn prepare(&self, jobs: Vec<NewJob>) -> Result<Prepared> {
        self.shared.prepare(jobs)
    }

    /// Returns the extension that reads jobs.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend does not implement it.
    pub fn inspect(&self) -> Result<&dyn Inspect> {
        backend::inspect(&*self.shared.backend)
    }

    /// Returns the extension that pauses and resumes queues.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use queue_core::{JobQueue, MemoryBackend, QueueName};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
    /// let mail = QueueName::new("mail")?;
    /// jobs.manage()?.pause(&mail).await?; // no worker claims its jobs from now on
    /// assert_eq!(jobs.manage()?.paused().await?, [mail.clone()]);
    /// jobs.manage()?.resume(&mail).await?;
    /// # Ok::<(), queue_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend does not implement it.
    pub fn manage(&self) -> Result<&dyn Manage> {
        backend::manage(&*self.shared.backend)
    }

    /// Returns the schedules of the queue.
    #[cfg(feature = "schedules")]
    #[must_use]
    pub const fn schedules(&self) -> crate::Schedules<'_> {
        crate::Schedules::new(self)
    }

    /// Returns the backend.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    /// Returns the kinds that were registered on this handle, in alphabetical order.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.shared.registrations().into_keys().collect();
        kinds.sort();
        kinds
    }

    /// The clock by which delays are counted.
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.shared.waiters
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn parked(&self) -> &ParkedClaims {
        &self.shared.parked
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn registrations(&self) -> Registrations {
        self.shared.registrations()
    }
}

impl fmt::Debug for JobQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobQueue")
            .field("backend", &self.shared.backend)
            .field("kinds", &self.kinds())
            .finish()
    }
}

#[async_trait]
impl Enqueuer for JobQueue {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        self.shared.submit(jobs).await
    }

    async fn dequeue(&self, id: JobId) -> Result<CancelReply> {
        self.shared.dequeue(id).await
    }
}

impl Queue for JobQueue {
    fn handle(&mut self, kind: &str, handler: Arc<dyn Handler>, options: TaskOptions) -> Result<()> {
        let kind = Kind::new(kind)?;
        let registration = Arc::new(Registration { handler, options });
        let mut registrations = ignore_poison(self.shared.registrations.write());
        add_handler(&mut registrations, kind, registration)
    }

    fn enqueuer(&self) -> Arc<dyn Enqueuer> {
        Arc::clone(&self.shared) as Arc<dyn Enqueuer>
    }
}
