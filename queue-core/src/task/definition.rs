//! A task that is a value, which may be a `static`.

use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::typed::{Definition, Run};
use super::{TaskFn, TaskHandle};
use crate::{HandlerResult, JobContext, JobId, NewJob, Queue, Result, TaskOptions, Timestamp};

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
pub struct TaskDefinition<P> {
    typed: Definition<P, ()>,
}

impl<P: Serialize + DeserializeOwned + Send + 'static> TaskDefinition<P> {
    /// Creates a task of this kind. The kind is checked when the task is registered.
    ///
    /// The handler is a closure with `Box::pin`, because a `static` cannot name the type of an
    /// async function. [`from_fn`](Self::from_fn) needs no `Box::pin`.
    #[must_use]
    pub const fn new(name: &'static str, handler: TaskFn<P, ()>) -> Self {
        Self { typed: Definition::new(name, Run::Static(handler)) }
    }

    /// Creates a task whose handler may capture values. It cannot be used for a `static`.
    pub fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        Self { typed: Definition::from_fn(name, handler) }
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
        F: Fn(JobContext, P) -> HandlerResult + Send + Sync + 'static,
    {
        Self { typed: Definition::blocking(name, function) }
    }

    /// Sets the options.
    #[must_use]
    pub fn with_options(mut self, options: TaskOptions) -> Self {
        self.typed.options = options;
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
        self.typed.options_fn = Some(options);
        self
    }

    /// Registers the task, and returns the handle that enqueues its jobs.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    pub fn register(&self, queue: &mut dyn Queue) -> Result<TaskHandle<P>> {
        self.typed.register(queue)
    }

    /// Returns the task's kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.typed.name
    }

    /// Creates a job with the options of this task, for a [`Client`](crate::Client).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the payload cannot be serialised, its JSON does
    /// not decode as a `P`, or the kind is not a valid name.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        self.typed.job(payload)
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the task was never registered, and those of
    /// [`job`](Self::job) and of [`Enqueuer`](crate::Enqueuer).
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

    /// Enqueues one job per payload, all or none. Ids are in the order of `payloads`.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(&self, payloads: &[P]) -> Result<Vec<JobId>> {
        self.typed.handle()?.enqueue_batch(payloads).await
    }

    /// Enqueues one job per payload, all or none, to run at `run_at` or later.
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
