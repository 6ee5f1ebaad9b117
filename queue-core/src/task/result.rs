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
/// transaction that completes the job. An attempt whose result cannot be written as JSON, or not be read as an `R`
/// again, has failed.
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
    /// A task of this kind; the kind is checked when the task is registered.
    #[must_use]
    pub const fn new(name: &'static str, handler: TaskFn<P, R>) -> Self {
        Self { typed: Definition::new(name, Run::Static(handler)) }
    }

    /// A task whose handler captures what it needs; not for a `static`.
    pub fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult<R>> + Send + 'static,
    {
        Self { typed: Definition::from_fn(name, handler) }
    }

    /// A task whose handler blocks its thread; it runs as [`blocking`](crate::blocking) says.
    #[cfg(feature = "runtime")]
    pub fn blocking<F>(name: &'static str, function: F) -> Self
    where
        F: Fn(JobContext, P) -> HandlerResult<R> + Send + Sync + 'static,
    {
        Self { typed: Definition::blocking(name, function) }
    }

    /// The same with these options.
    #[must_use]
    pub fn with_options(mut self, options: TaskOptions) -> Self {
        self.typed.options = options;
        self
    }

    /// The same with options that are made when they are needed, for a `static`.
    #[must_use]
    pub const fn with_options_fn(mut self, options: fn() -> TaskOptions) -> Self {
        self.typed.options_fn = Some(options);
        self
    }

    /// Registers the task, and gives back the handle through which it is enqueued.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    pub fn register(&self, queue: &mut dyn Queue) -> Result<ResultTaskHandle<P, R>> {
        Ok(ResultTaskHandle { task: self.typed.register(queue)?, result: PhantomData })
    }

    /// The task's kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.typed.name
    }

    /// A job with this task's options, for a [`Client`](crate::Client) whose workers are elsewhere.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the payload cannot be serialised, what was written cannot be read as a `P`
    /// again, or the kind is no valid name.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        self.typed.job(payload)
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the task was never registered, and those of [`job`](Self::job) and of
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
    /// The task's kind.
    #[must_use]
    pub fn name(&self) -> &str {
        self.task.name()
    }

    /// As [`TaskHandle::job`].
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the payload cannot be serialised, or what was written cannot be read as a `P`
    /// again.
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

    /// Enqueues a job a payload, all or none; ids are in the order of `payloads`.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(&self, payloads: &[P]) -> Result<Vec<JobId>> {
        self.task.enqueue_batch(payloads).await
    }

    /// Enqueues a job a payload, all or none, to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch_at(&self, payloads: &[P], run_at: Timestamp) -> Result<Vec<JobId>> {
        self.task.enqueue_batch_at(payloads, run_at).await
    }

    /// Reads a stored result of this task, e.g. of a [`JobRecord`](crate::backend::JobRecord).
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if the bytes are no `R`.
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
