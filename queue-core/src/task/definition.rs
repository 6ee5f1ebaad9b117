//! A task as a value, which may be a `static`.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TaskFn, TaskFuture, TaskHandle};
use crate::{
    Error, ErrorKind, Handler, HandlerResult, JobContext, JobError, JobId, Kind, NewJob, Payload, Queue,
    Result, TaskOptions, Timestamp,
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
/// A definition that is registered on several queues enqueues on the last of them; the handles tell
/// them apart.
pub struct TaskDefinition<P> {
    typed: Definition<P, ()>,
}

impl<P: Serialize + DeserializeOwned + Send + 'static> TaskDefinition<P> {
    /// A task of this kind; the kind is checked when the task is registered.
    #[must_use]
    pub const fn new(name: &'static str, handler: TaskFn<P, ()>) -> Self {
        Self { typed: Definition::new(name, Run::Static(handler)) }
    }

    /// A task whose handler captures what it needs; not for a `static`.
    pub fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        Self { typed: Definition::from_fn(name, handler) }
    }

    /// The same with these options.
    #[must_use]
    pub fn with_options(mut self, options: TaskOptions) -> Self {
        self.typed.options = options;
        self
    }

    /// The same with options that are made when they are needed, for a `static`.
    ///
    /// ```
    /// use queue_core::{TaskDefinition, TaskOptions};
    ///
    /// static RESIZE: TaskDefinition<String> = TaskDefinition::new("resize", |_, _| Box::pin(async { Ok(()) }))
    ///     .with_options_fn(|| TaskOptions::new().max_retries(3).needs_state::<String>());
    /// ```
    #[must_use]
    pub const fn with_options_fn(mut self, options: fn() -> TaskOptions) -> Self {
        self.typed.options_fn = Some(options);
        self
    }

    /// Registers the task, and gives back the handle through which it is enqueued.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    pub fn register(&self, queue: &mut dyn Queue) -> Result<TaskHandle<P>> {
        self.typed.register(queue)
    }

    /// The task's kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.typed.name
    }

    /// A job with this task's options, for a [`Client`](crate::Client) whose workers are elsewhere.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the payload cannot be serialised or the kind is no valid name.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        self.typed.job(payload)
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the task was never registered, and those of
    /// [`Enqueuer`](crate::Enqueuer).
    pub async fn enqueue(&self, payload: &P) -> Result<JobId> {
        self.typed.handle()?.enqueue(payload).await
    }

    /// Enqueues one job to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_at(&self, payload: &P, run_at: Timestamp) -> Result<JobId> {
        self.typed.handle()?.enqueue_at(payload, run_at).await
    }

    /// Enqueues a job a payload, all or none; ids are in the order of `payloads`.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(&self, payloads: &[P]) -> Result<Vec<JobId>> {
        self.typed.handle()?.enqueue_batch(payloads).await
    }

    /// Enqueues a job a payload, all or none, to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch_at(&self, payloads: &[P], run_at: Timestamp) -> Result<Vec<JobId>> {
        self.typed.handle()?.enqueue_batch_at(payloads, run_at).await
    }
}

impl<P> fmt::Debug for TaskDefinition<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskDefinition").field(&self.typed.name).finish()
    }
}

/// What both forms of a definition share; `R` is what the handler returns.
pub(super) struct Definition<P, R> {
    pub(super) name: &'static str,
    pub(super) options: TaskOptions,
    pub(super) options_fn: Option<fn() -> TaskOptions>,
    run: Run<P, R>,
    registered: RwLock<Option<TaskHandle<P>>>,
}

pub(super) enum Run<P, R> {
    Static(TaskFn<P, R>),
    Shared(Arc<dyn Fn(JobContext, P) -> TaskFuture<R> + Send + Sync>),
}

impl<P, R> Clone for Run<P, R> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(function) => Self::Static(*function),
            Self::Shared(function) => Self::Shared(Arc::clone(function)),
        }
    }
}

impl<P, R> Run<P, R> {
    fn start(&self, context: JobContext, payload: P) -> TaskFuture<R> {
        match self {
            Self::Static(function) => function(context, payload),
            Self::Shared(function) => function(context, payload),
        }
    }
}

impl<P, R> Definition<P, R>
where
    P: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
{
    pub(super) const fn new(name: &'static str, run: Run<P, R>) -> Self {
        Self { name, options: TaskOptions::new(), options_fn: None, run, registered: RwLock::new(None) }
    }

    pub(super) fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult<R>> + Send + 'static,
    {
        Self::new(name, Run::Shared(Arc::new(move |context, payload| Box::pin(handler(context, payload)))))
    }

    pub(super) fn options(&self) -> TaskOptions {
        self.options_fn.map_or_else(|| self.options.clone(), |make| make())
    }

    pub(super) fn register(&self, queue: &mut dyn Queue) -> Result<TaskHandle<P>> {
        let handler = TypedHandler { run: self.run.clone() };
        queue.handle(self.name, Arc::new(handler), self.options())?;
        let handle = TaskHandle::new(Kind::new(self.name)?, queue.enqueuer());
        *self.registered.write().unwrap_or_else(PoisonError::into_inner) = Some(handle.clone());
        Ok(handle)
    }

    pub(super) fn handle(&self) -> Result<TaskHandle<P>> {
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        registered.clone().ok_or_else(|| {
            let message = format!("task `{}` was never registered on a queue", self.name);
            Error::new(ErrorKind::NotFound, "enqueue a job", message)
        })
    }

    pub(super) fn job(&self, payload: &P) -> Result<NewJob> {
        let job = NewJob::new(Kind::new(self.name)?, Payload::encode(payload)?);
        Ok(job.with_defaults(&self.options()))
    }
}

/// Decodes the payload, runs, and leaves the result.
struct TypedHandler<P, R> {
    run: Run<P, R>,
}

#[async_trait]
impl<P, R> Handler for TypedHandler<P, R>
where
    P: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
{
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        let value = decode::<P>(&payload)?;
        let result = self.run.start(context.clone(), value).await?;
        if !is_unit::<R>() {
            context.capture_json(&result)?;
        }
        Ok(())
    }
}

/// Reads the payload of a typed task; a wrong shape is a failed attempt like any other.
pub(super) fn decode<P: DeserializeOwned>(payload: &Payload) -> HandlerResult<P> {
    payload.decode().map_err(|error| {
        let wanted = std::any::type_name::<P>();
        JobError::retry(format!("the payload does not decode as `{wanted}`: {}", error.message()))
    })
}

fn is_unit<R: 'static>() -> bool {
    std::any::TypeId::of::<R>() == std::any::TypeId::of::<()>()
}
