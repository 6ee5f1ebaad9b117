//! The application's handle on a queue.

mod registrations;
mod shared;

use std::fmt;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

#[cfg(feature = "runtime")]
pub(crate) use registrations::Registrations;
pub(crate) use registrations::{Registration, add_handler};
use shared::Shared;

use crate::backend::{self, CancelReply, CancelRequest, Inspect, Manage, RetryReply, RetryRequest};
use crate::clock::Clock;
use crate::events::EventBus;
#[cfg(feature = "runtime")]
use crate::parked::ParkedClaims;
use crate::poison::ignore_poison;
use crate::waiters::Waiters;
use crate::{
    Backend, Enqueue, Enqueuer, Error, ErrorKind, Handler, IntoJob, JobEvent, JobEvents, JobId, Kind, Limits,
    NewJob, Prepared, Queue, Result, Submitted, TaskOptions,
};

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
                events: EventBus::default(),
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
        self.shared.cancel(id, CancelRequest::signal_running).await
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
        if replies == [RetryReply::Retried] {
            self.shared.events.send(|| JobEvent::Retried { job: id });
        }
        replies.first().copied().ok_or_else(|| {
            let message = "the backend returned no result for it";
            Error::new(ErrorKind::Corrupt, format!("retry job {id}"), message)
        })
    }

    /// Subscribes to what happens to the jobs of the queue in this process, from now on: what this
    /// handle and its clones enqueue, cancel and retry, and what the workers do that were made of
    /// them.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use queue_core::{HandlerResult, JobError, JobEvent, JobQueue};
    /// # use queue_core::{MemoryBackend, Task, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Charge { order: i64 }
    /// # impl Task for Charge { const KIND: &'static str = "charge"; type Output = (); }
    /// # async fn charge(_: Charge) -> HandlerResult { Err(JobError::bury("no such order")) }
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// # let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
    /// let mut events = jobs.events();
    /// # let worker = Worker::new(&jobs).handle(charge).start()?;
    /// # jobs.enqueue(Charge { order: 7 }).await?;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         JobEvent::Dead { attempt, error, .. } => {
    ///             println!("{} {} is dead: {error}", attempt.kind, attempt.job);
    ///             break;
    ///         }
    ///         JobEvent::Missed(count) => println!("{count} events were dropped"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), queue_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// No worker waits for those who read. A program that is slower loses the oldest events, beyond
    /// [`Limits::event_buffer`], and reads [`JobEvent::Missed`] instead. Without a subscriber,
    /// nothing is done for events.
    ///
    /// - Each [`Started`](JobEvent::Started) has one end, which comes after it: when it is stored,
    ///   or [`Unsettled`](JobEvent::Unsettled). An attempt that started before the first
    ///   subscription ends without one.
    /// - [`Enqueued`](JobEvent::Enqueued) may come after `Started`, because a worker can be faster
    ///   than the reply. An enqueue whose future was dropped is no event.
    /// - A job that its handler [completes in a transaction](crate::Complete) is taken for
    ///   completed if its lease has ended when the worker looks.
    /// - Follow-ups, the jobs of schedules, and jobs that were enqueued in a transaction or by SQL
    ///   begin with [`Started`](JobEvent::Started).
    pub fn events(&self) -> JobEvents {
        self.shared.events.subscribe(self.shared.limits.event_buffer)
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn event_bus(&self) -> &EventBus {
        &self.shared.events
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
