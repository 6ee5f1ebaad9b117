//! The request to enqueue: a value that is changed, passed on, and awaited.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use crate::task::encode;
use crate::{
    Attributes, Backoff, Enqueuer, Error, ErrorKind, JobId, JobQueue, Kind, NewJob, QueueName, Result,
    Submitted, Task, Timestamp, Unique,
};

/// What [`JobQueue::enqueue`] takes: a payload whose type is a [`Task`], or a [`NewJob`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be enqueued",
    label = "neither a task nor a `NewJob`",
    note = "derive `Task` for the payload type: `#[derive(Serialize, Deserialize, Task)]`",
    note = "for a kind that is a text, enqueue a `NewJob`, or use `EnqueuerExt::enqueue_value`"
)]
pub trait IntoJob {
    /// What the handler of the job returns.
    type Output;

    /// Creates the job, with the options of its task.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the payload cannot be written as JSON, if that JSON does
    /// not decode as the payload's type, or if the kind is not a valid name.
    fn into_job(self) -> Result<NewJob>;
}

impl<T: Task> IntoJob for T {
    type Output = T::Output;

    fn into_job(self) -> Result<NewJob> {
        let mut job = NewJob::new(Kind::new(T::KIND)?, encode::payload(T::KIND, &self)?);
        job.unique = self.unique().map(Box::new);
        Ok(job.with_defaults(&T::options()))
    }
}

impl IntoJob for NewJob {
    type Output = ();

    fn into_job(self) -> Result<NewJob> {
        Ok(self)
    }
}

/// A request to enqueue one job, or, as `Enqueue<Vec<J>>`, a batch of which each option applies to
/// all jobs. Nothing is stored until it is awaited. Two other ways end it: the trait `Tx` of a
/// backend or an adapter stores the jobs in a transaction of the application, and
/// [`on_success`](Self::on_success) stores them when the job of a handler is completed.
///
/// A function can return it, so that its caller may change it further:
///
/// ```
/// use queue_core::{Enqueue, JobQueue, Task};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct ChargeOrder { order: i64 }
/// # impl Task for ChargeOrder { const KIND: &'static str = "charge"; type Output = (); }
///
/// fn charge(jobs: &JobQueue, order: i64) -> Enqueue<ChargeOrder> {
///     jobs.enqueue(ChargeOrder { order })
/// }
///
/// # async fn example(jobs: &JobQueue) -> queue_core::Result<()> {
/// let job = charge(jobs, 7).priority(5).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// When it is awaited:
/// - [`Invalid`](ErrorKind::Invalid) names the bad input. Nothing was stored.
/// - [`Busy`](ErrorKind::Busy) and [`Unavailable`](ErrorKind::Unavailable): nothing was stored.
/// - [`UnknownOutcome`](ErrorKind::UnknownOutcome) contains the ids for a retry.
///
/// # Cancellation
/// If the future is dropped, all jobs were enqueued, or none.
#[must_use = "nothing is enqueued until the request is awaited, or finished by `tx` or `on_success`"]
pub struct Enqueue<J> {
    request: Result<(JobQueue, Vec<NewJob>)>,
    jobs: PhantomData<fn(J)>,
}

/// The future of an [`Enqueue`].
pub type EnqueueFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

impl<J> Enqueue<J> {
    pub(crate) fn new<I: IntoJob>(jobs: JobQueue, batch: impl IntoIterator<Item = I>) -> Self {
        let batch: Vec<I> = batch.into_iter().collect();
        let many = batch.len();
        let create = |(number, job): (usize, I)| {
            job.into_job().map_err(|error| if many == 1 { error } else { error.numbered(number, many) })
        };
        let batch: Result<Vec<NewJob>> = (1..).zip(batch).map(create).collect();
        Self { request: batch.map(|batch| (jobs, batch)), jobs: PhantomData }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self { request: Err(error), jobs: PhantomData }
    }

    /// Sets the earliest time to run (default: the time of the insert).
    pub fn run_at(self, time: impl Into<Timestamp>) -> Self {
        let time = time.into();
        self.each(|job| job.run_at(time))
    }

    /// Runs after this delay. It counts from this call, by the clock of this machine: if the clock
    /// of the database differs, the job starts that much earlier or later.
    pub fn run_in(self, delay: Duration) -> Self {
        let now = self.request.as_ref().map_or_else(|_| Timestamp::now(), |(jobs, _)| jobs.clock().now());
        self.run_at(now.saturating_add(delay))
    }

    /// Sets the priority; higher is more urgent.
    pub fn priority(self, priority: i16) -> Self {
        self.each(|job| job.priority(priority))
    }

    /// Sets the queue. A name that is not valid is an error when the request is awaited.
    pub fn queue(mut self, name: &str) -> Self {
        match QueueName::new(name) {
            Ok(name) => self.each(|job| job.queue(name.clone())),
            Err(error) => {
                self.request = self.request.and(Err(error));
                self
            }
        }
    }

    /// Sets the maximum number of retries. With 5, a job runs at most six times.
    pub fn max_retries(self, retries: u16) -> Self {
        self.each(|job| job.max_retries(retries))
    }

    /// Sets the timeout of one attempt.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.each(|job| job.timeout(timeout))
    }

    /// Sets the delays of retries of this job. They are stored with it, and replace the
    /// [`RetryPolicy`](crate::RetryPolicy) of its task.
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.each(|job| job.backoff(backoff))
    }

    /// Sets the attributes, for example tags and trace context.
    pub fn attributes(self, attributes: Attributes) -> Self {
        self.each(move |job| job.attributes(attributes.clone()))
    }

    fn each(mut self, set: impl Fn(NewJob) -> NewJob) -> Self {
        if let Ok((_, batch)) = &mut self.request {
            *batch = std::mem::take(batch).into_iter().map(set).collect();
        }
        self
    }

    pub(crate) fn into_parts(self) -> Result<(JobQueue, Vec<NewJob>)> {
        self.request
    }

    async fn send<R>(self) -> Result<Vec<JobHandle<R>>> {
        let (jobs, batch) = self.request?;
        let submitted = jobs.submit(batch).await?;
        Ok(submitted.into_iter().map(|job| JobHandle::new(jobs.clone(), job)).collect())
    }
}

impl<J: IntoJob> Enqueue<J> {
    /// Sets the id, so that the request can be repeated: a second one with the same id and content
    /// inserts no second job within
    /// [`Limits::idempotency_window`](crate::Limits::idempotency_window).
    pub fn with_id(self, id: JobId) -> Self {
        self.each(|job| job.id(id))
    }

    /// Inserts the job only if no other job of its kind holds the same key. Otherwise the handle is
    /// that of the other job, and is not [new](JobHandle::is_new).
    pub fn unique(self, unique: Unique) -> Self {
        self.each(move |job| job.unique(unique.clone()))
    }
}

impl<J: IntoJob + 'static> IntoFuture for Enqueue<J> {
    type Output = Result<JobHandle<J::Output>>;
    type IntoFuture = EnqueueFuture<JobHandle<J::Output>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let mut handles = self.send().await?;
            handles.pop().ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, "enqueue a job", "the backend returned no result for it")
            })
        })
    }
}

impl<J: IntoJob + 'static> IntoFuture for Enqueue<Vec<J>> {
    type Output = Result<Vec<JobHandle<J::Output>>>;
    type IntoFuture = EnqueueFuture<Vec<JobHandle<J::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<J> fmt::Debug for Enqueue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = self.request.as_ref().map(|(_, batch)| batch);
        f.debug_struct("Enqueue").field("jobs", &jobs).finish()
    }
}

/// A job that was enqueued. `R` is what its handler returns.
///
/// [`result`](Self::result) waits for what the handler returns. The job's
/// [record](crate::JobRecord), which [`JobQueue::inspect`] reads by the id, has its state.
pub struct JobHandle<R = ()> {
    jobs: JobQueue,
    submitted: Submitted,
    result: PhantomData<fn() -> R>,
}

impl<R> JobHandle<R> {
    pub(crate) const fn new(jobs: JobQueue, submitted: Submitted) -> Self {
        Self { jobs, submitted, result: PhantomData }
    }

    pub(crate) const fn jobs(&self) -> &JobQueue {
        &self.jobs
    }

    /// Returns the job's id. If the job is not new because of its unique key, it is the id of the
    /// job that holds the key.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.submitted.id
    }

    /// Returns whether this request inserted the job. If not, a job with the same id or the same
    /// [unique key](Unique) was stored already, and nothing was changed.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.submitted.is_new()
    }
}

impl<R> Clone for JobHandle<R> {
    fn clone(&self) -> Self {
        Self::new(self.jobs.clone(), self.submitted)
    }
}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("id", &self.id()).field("is_new", &self.is_new()).finish()
    }
}
