//! The handle of a registered task.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encode;
use crate::enqueuer::first_id;
use crate::{Enqueuer, Error, ErrorKind, JobId, Kind, NewJob, Result, Submitted, Timestamp};

/// Enqueues jobs of one registered task. Clones enqueue the same task.
///
/// A payload that the task cannot read is refused before any job is stored:
///
/// ```
/// # use std::sync::Arc;
/// # use queue_core::{
/// #     ErrorKind, HandlerResult, JobContext, JobQueue, MemoryBackend, TaskDefinition,
/// # };
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let scale = TaskDefinition::from_fn("scale", |_: JobContext, factor: f64| async move {
///     println!("by {factor}");
///     HandlerResult::Ok(())
/// });
/// let scale = scale.register(&mut queue)?;
/// scale.enqueue(&0.5).await?;
/// let error = scale.enqueue(&f64::NAN).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert!(error.to_string().starts_with("failed to enqueue a job of task `scale`: "));
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
pub struct TaskHandle<P, R = ()> {
    kind: Kind,
    enqueuer: Arc<dyn Enqueuer>,
    types: PhantomData<fn(&P) -> R>,
}

/// A [`TaskHandle`] of a task whose handler returns a value.
pub type ResultTaskHandle<P, R> = TaskHandle<P, R>;

impl<P: Serialize + DeserializeOwned, R: DeserializeOwned> TaskHandle<P, R> {
    pub(crate) fn new(kind: Kind, enqueuer: Arc<dyn Enqueuer>) -> Self {
        Self { kind, enqueuer, types: PhantomData }
    }

    /// Returns the task's kind.
    #[must_use]
    pub fn name(&self) -> &str {
        self.kind.as_str()
    }

    /// Creates a job of this task, to change and [submit](Self::submit).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the payload cannot be serialised, or its JSON does
    /// not decode as a `P`.
    pub fn job(&self, payload: &P) -> Result<NewJob> {
        Ok(NewJob::new(self.kind.clone(), encode::payload(self.name(), payload)?))
    }

    /// Submits jobs that [`job`](Self::job) created, all or none.
    ///
    /// # Errors
    /// Those of [`Enqueuer`].
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        self.enqueuer.submit(jobs).await
    }

    /// Enqueues one job to run as soon as possible.
    ///
    /// # Errors
    /// Those of [`job`](Self::job) and of [`Enqueuer`].
    pub async fn enqueue(&self, payload: &P) -> Result<JobId> {
        let job = self.job(payload)?;
        first_id(&self.submit(vec![job]).await?)
    }

    /// Enqueues one job to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_at(&self, payload: &P, run_at: Timestamp) -> Result<JobId> {
        let job = self.job(payload)?.run_at(run_at);
        first_id(&self.submit(vec![job]).await?)
    }

    /// Enqueues one job per payload, all or none. Ids are in the order of `payloads`.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(&self, payloads: &[P]) -> Result<Vec<JobId>> {
        let payloads = encode::payloads(self.name(), payloads)?;
        self.enqueuer.enqueue_batch(self.name(), payloads).await
    }

    /// Enqueues one job per payload, all or none, to run at `run_at` or later.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch_at(&self, payloads: &[P], run_at: Timestamp) -> Result<Vec<JobId>> {
        let payloads = encode::payloads(self.name(), payloads)?;
        self.enqueuer.enqueue_batch_at(self.name(), payloads, run_at).await
    }

    /// Reads a stored result of this task, e.g. of a [`JobRecord`](crate::backend::JobRecord).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the bytes do not decode as an `R`.
    pub fn decode(&self, result: &[u8]) -> Result<R> {
        serde_json::from_slice(result).map_err(|error| {
            let operation = format!("read a result of task `{}`", self.name());
            Error::new(ErrorKind::Corrupt, operation, error.to_string()).with_source(error)
        })
    }
}

impl<P, R> Clone for TaskHandle<P, R> {
    fn clone(&self) -> Self {
        Self { kind: self.kind.clone(), enqueuer: Arc::clone(&self.enqueuer), types: PhantomData }
    }
}

impl<P, R> fmt::Debug for TaskHandle<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskHandle").field(&self.kind).finish()
    }
}
