//! A task that is a value, which may be a `static`.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, RwLock, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::typed::{Run, TypedHandler};
use super::{TaskFn, TaskHandle, encode};
use crate::poison::ignore_poison;
use crate::{
    Enqueuer, Error, ErrorKind, HandlerResult, JobContext, JobId, Kind, NewJob, Queue, Result, TaskOptions,
    Timestamp,
};

/// A kind with its payload type, its handler and its options.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{HandlerResult, JobContext, JobQueue, MemoryBackend, TaskDefinition};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Email { to: String }
///
/// async fn send(_: JobContext, email: Email) -> HandlerResult {
///     println!("to {}", email.to);
///     Ok(())
/// }
///
/// static SEND_EMAIL: TaskDefinition<Email> =
///     TaskDefinition::new("send-email", |context, email| Box::pin(send(context, email)));
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let email = Email { to: "ada".into() };
/// let error = SEND_EMAIL.enqueue(&email).await.unwrap_err();
/// assert!(error.to_string().contains("task `send-email` was never registered"));
///
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let send_email = SEND_EMAIL.register(&mut queue)?;
/// send_email.enqueue(&email).await?;
/// SEND_EMAIL.enqueue(&email).await?;
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// A definition that is registered on several queues enqueues on the last of them. Use the handles
/// to choose a queue. A definition does not keep its queue alive. After the queue, its workers and
/// its handles are dropped, the definition cannot enqueue any more.
///
/// # Results
/// With a second type `R`, the value that the handler returns is stored as JSON in the transaction
/// that completes the job. An attempt fails if its result cannot be written as JSON, or if that
/// JSON does not decode as an `R`.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{HandlerResult, JobContext, JobQueue, MemoryBackend, ResultTask};
///
/// async fn measure(_: JobContext, text: String) -> HandlerResult<usize> {
///     Ok(text.len())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let measure = ResultTask::from_fn("measure", measure).register(&mut queue)?;
/// measure.enqueue(&"four".to_owned()).await?;
/// assert_eq!(measure.decode(b"4")?, 4);
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
pub struct TaskDefinition<P, R = ()> {
    name: &'static str,
    options: TaskOptions,
    options_fn: Option<fn() -> TaskOptions>,
    run: Run<P, R>,
    registered: RwLock<Option<Weak<dyn Enqueuer>>>,
    payload: PhantomData<fn(P)>,
}

/// A [`TaskDefinition`] whose handler returns a value.
pub type ResultTask<P, R> = TaskDefinition<P, R>;

impl<P, R> TaskDefinition<P, R>
where
    P: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    /// Creates a task of this kind. The kind is checked when the task is registered.
    ///
    /// The handler is a closure with `Box::pin`, because a `static` cannot name the type of an
    /// async function. [`from_fn`](Self::from_fn) needs no `Box::pin`.
    #[must_use]
    pub const fn new(name: &'static str, handler: TaskFn<P, R>) -> Self {
        Self::with_run(name, Run::Static(handler))
    }

    const fn with_run(name: &'static str, run: Run<P, R>) -> Self {
        let registered = RwLock::new(None);
        Self { name, options: TaskOptions::new(), options_fn: None, run, registered, payload: PhantomData }
    }

    /// Creates a task whose handler may capture values. It cannot be used for a `static`.
    pub fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult<R>> + Send + 'static,
    {
        let run = move |context, payload| Box::pin(handler(context, payload)) as _;
        Self::with_run(name, Run::Shared(Arc::new(run)))
    }

    /// Creates a task whose handler blocks its thread. It runs like a handler of
    /// [`blocking`](crate::blocking).
    ///
    /// ```
    /// use queue_core::{HandlerResult, JobContext, TaskDefinition};
    ///
    /// let copy = TaskDefinition::blocking("copy", |_: JobContext, (from, to): (String, String)| {
    ///     std::fs::copy(from, to)?;
    ///     HandlerResult::Ok(())
    /// });
    /// ```
    #[cfg(feature = "runtime")]
    pub fn blocking<F>(name: &'static str, function: F) -> Self
    where
        F: Fn(JobContext, P) -> HandlerResult<R> + Send + Sync + 'static,
    {
        Self::with_run(name, Run::Blocking(Arc::new(function)))
    }

    /// Sets the options.
    #[must_use]
    pub fn with_options(mut self, options: TaskOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets a function that returns the options, for a `static`.
    ///
    /// ```
    /// use queue_core::{TaskDefinition, TaskOptions};
    ///
    /// static RESIZE: TaskDefinition<String> =
    ///     TaskDefinition::new("resize", |_, _| Box::pin(async { Ok(()) }))
    ///         .with_options_fn(|| TaskOptions::new().max_retries(3).needs_state::<String>());
    /// ```
    #[must_use]
    pub const fn with_options_fn(mut self, options: fn() -> TaskOptions) -> Self {
        self.options_fn = Some(options);
        self
    }

    /// Registers the task, and returns the handle that enqueues its jobs.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    pub fn register(&self, queue: &mut dyn Queue) -> Result<TaskHandle<P, R>> {
        queue.handle(self.name, Arc::new(TypedHandler { run: self.run.clone() }), self.options())?;
        let enqueuer = queue.enqueuer();
        *ignore_poison(self.registered.write()) = Some(Arc::downgrade(&enqueuer));
        Ok(TaskHandle::new(Kind::new(self.name)?, enqueuer))
    }

    fn options(&self) -> TaskOptions {
        self.options_fn.map_or_else(|| self.options.clone(), |make| make())
    }

    fn handle(&self) -> Result<TaskHandle<P, R>> {
        let fault = |fault| {
            let message = format!("task `{}` {fault}", self.name);
            Error::new(ErrorKind::NotFound, "enqueue a job", message)
        };
        let registered = ignore_poison(self.registered.read()).clone();
        let enqueuer = registered.ok_or_else(|| fault("was never registered on a queue"))?;
        let enqueuer =
            enqueuer.upgrade().ok_or_else(|| fault("was registered on a queue that was dropped"))?;
        Ok(TaskHandle::new(Kind::new(self.name)?, enqueuer))
    }

    /// Returns the task's kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Creates a job with the options of this task, for a queue on which it is not registered. The
    /// worker that runs the job decides the delays of its retries.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the payload cannot be serialised, its JSON does
    /// not decode as a `P`, or the kind is not a valid name.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        let job = NewJob::new(Kind::new(self.name)?, encode::payload(self.name, payload)?);
        Ok(job.with_defaults(&self.options()))
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the task was never registered, and those of
    /// [`job`](Self::job) and of [`Enqueuer`](crate::Enqueuer).
    pub async fn enqueue(&self, payload: &P) -> Result<JobId> {
        self.handle()?.enqueue(payload).await
    }

    /// Enqueues one job to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_at(&self, payload: &P, run_at: Timestamp) -> Result<JobId> {
        self.handle()?.enqueue_at(payload, run_at).await
    }

    /// Enqueues one job per payload, all or none. Ids are in the order of `payloads`.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(&self, payloads: &[P]) -> Result<Vec<JobId>> {
        self.handle()?.enqueue_batch(payloads).await
    }

    /// Enqueues one job per payload, all or none, to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch_at(&self, payloads: &[P], run_at: Timestamp) -> Result<Vec<JobId>> {
        self.handle()?.enqueue_batch_at(payloads, run_at).await
    }
}

impl<P, R> fmt::Debug for TaskDefinition<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskDefinition").field(&self.name).finish()
    }
}
