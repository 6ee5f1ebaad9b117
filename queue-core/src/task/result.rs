//! A task whose handler returns a value, stored as the job's result.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::typed::{Definition, Run};
use super::{TaskFn, TaskHandle};
use crate::{
    Error, ErrorKind, HandlerResult, JobContext, JobId, NewJob, Queue, Result, Submitted, TaskOptions,
    Timestamp,
};

/// A [`TaskDefinition`](crate::TaskDefinition) whose handler returns an `R`, stored as JSON in the
/// transaction that completes the job. An attempt fails if its result cannot be written as JSON, or
/// if that JSON does not decode as an `R`.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{HandlerResult, JobContext, JobQueue, MemoryBackend, ResultTask};
///
/// async fn measure(_: JobContext, text: String) -> HandlerResult<usize> {
///     Ok(text.len())
/// }
///
/// static MEASURE: ResultTask<String, usize> =
///     ResultTask::new("measure", |context, text| Box::pin(measure(context, text)));
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let handle = MEASURE.register(&mut queue)?;
/// handle.enqueue(&"four".to_owned()).await?;
/// assert_eq!(handle.decode(b"4")?, 4);
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
pub struct ResultTask<P, R> {
    typed: Definition<P, R>,
}

impl<P, R> ResultTask<P, R>
where
    P: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    /// Creates a task of this kind. The kind is checked when the task is registered.
    #[must_use]
    pub const fn new(name: &'static str, handler: TaskFn<P, R>) -> Self {
        Self { typed: Definition::new(name, Run::Static(handler)) }
    }

    /// Creates a task whose handler may capture values. It cannot be used for a `static`.
    pub fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult<R>> + Send + 'static,
    {
        Self { typed: Definition::from_fn(name, handler) }
    }

    /// Creates a task whose handler blocks its thread. It runs like a handler of
    /// [`blocking`](crate::blocking).
    #[cfg(feature = "runtime")]
    pub fn blocking<F>(name: &'static str, function: F) -> Self
    where
        F: Fn(JobContext, P) -> HandlerResult<R> + Send + Sync + 'static,
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
    #[must_use]
    pub const fn with_options_fn(mut self, options: fn() -> TaskOptions) -> Self {
        self.typed.options_fn = Some(options);
        self
    }

    /// Registers the task, and returns the handle that enqueues its jobs.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    pub fn register(&self, queue: &mut dyn Queue) -> Result<ResultTaskHandle<P, R>> {
        Ok(ResultTaskHandle { task: self.typed.register(queue)?, result: PhantomData })
    }

    /// Returns the task's kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.typed.name
    }

    /// Creates a job with the options of this task, for a [`Client`](crate::Client).
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the payload cannot be serialised, its JSON does not
    /// decode as a `P`, or the kind is not a valid name.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        self.typed.job(payload)
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the task was never registered, and those of
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

impl<P, R> fmt::Debug for ResultTask<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResultTask").field(&self.typed.name).finish()
    }
}

/// A [`TaskHandle`] that also reads the results.
pub struct ResultTaskHandle<P, R> {
    task: TaskHandle<P>,
    result: PhantomData<fn() -> R>,
}

impl<P: Serialize + DeserializeOwned, R: DeserializeOwned> ResultTaskHandle<P, R> {
    /// Returns the task's kind.
    #[must_use]
    pub fn name(&self) -> &str {
        self.task.name()
    }

    /// As [`TaskHandle::job`].
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the payload cannot be serialised, or its JSON does not
    /// decode as a `P`.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        self.task.job(payload)
    }

    /// As [`TaskHandle::submit`].
    ///
    /// # Errors
    /// Those of [`Enqueuer`](crate::Enqueuer).
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        self.task.submit(jobs).await
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// Those of [`job`](Self::job) and of [`Enqueuer`](crate::Enqueuer).
    pub async fn enqueue(&self, payload: &P) -> Result<JobId> {
        self.task.enqueue(payload).await
    }

    /// Enqueues one job to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_at(&self, payload: &P, run_at: Timestamp) -> Result<JobId> {
        self.task.enqueue_at(payload, run_at).await
    }

    /// Enqueues one job per payload, all or none. Ids are in the order of `payloads`.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(&self, payloads: &[P]) -> Result<Vec<JobId>> {
        self.task.enqueue_batch(payloads).await
    }

    /// Enqueues one job per payload, all or none, to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch_at(&self, payloads: &[P], run_at: Timestamp) -> Result<Vec<JobId>> {
        self.task.enqueue_batch_at(payloads, run_at).await
    }

    /// Reads a stored result of this task, e.g. of a [`JobRecord`](crate::backend::JobRecord).
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if the bytes do not decode as an `R`.
    pub fn decode(&self, result: &[u8]) -> Result<R> {
        serde_json::from_slice(result).map_err(|error| {
            let operation = format!("read a result of task `{}`", self.name());
            Error::new(ErrorKind::Corrupt, operation, error.to_string()).with_source(error)
        })
    }
}

impl<P, R> Clone for ResultTaskHandle<P, R> {
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), result: PhantomData }
    }
}

impl<P, R> fmt::Debug for ResultTaskHandle<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResultTaskHandle").field(&self.task).finish()
    }
}
