//! A client for programs that only enqueue.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{self, Inspect, Manage};
use crate::{
    Backend, Dequeued, Enqueuer, JobId, Limits, NewJob, Prepared, Result, Submitted, TaskOptions, border,
    enqueuer,
};

/// Submits jobs of any valid kind, for programs whose workers run in other processes.
///
/// It has no registrations. Options that a [`NewJob`] does not set are stored with the defaults of
/// the library. To enqueue with the options of a task, use
/// [`TaskDefinition::job`](crate::TaskDefinition::job).
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{Client, Enqueuer, Kind, MemoryBackend, NewJob, Payload};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let client = Client::new(Arc::new(MemoryBackend::new()));
/// let job = NewJob::new(Kind::new("send-email")?, Payload::json(r#"{"to":"ada"}"#)?).priority(5);
/// let submitted = client.submit(vec![job.clone().id(queue_core::JobId::generate())]).await?;
/// assert!(submitted[0].is_new());
/// let again = client.submit(vec![job.id(submitted[0].id)]).await?;
/// assert!(!again[0].is_new());
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    backend: Arc<dyn Backend>,
    limits: Limits,
}

impl Client {
    /// Creates a client of this backend, with the default limits.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, limits: Limits::default() }
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks a batch, and fills in the options that its jobs do not set. Nothing is stored.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a job is refused.
    pub fn prepare(&self, jobs: Vec<NewJob>) -> Result<Prepared> {
        static LIBRARY_DEFAULTS: TaskOptions = TaskOptions::new();
        border::prepare(&self.limits, jobs, |_| Ok(&LIBRARY_DEFAULTS))
    }

    /// Returns the extension that reads jobs.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend does not implement it.
    pub fn inspect(&self) -> Result<&dyn Inspect> {
        backend::inspect(&*self.backend)
    }

    /// Returns the extension that pauses and resumes queues.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use queue_core::{Client, MemoryBackend, QueueName};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(MemoryBackend::new()));
    /// let mail = QueueName::new("mail")?;
    /// client.manage()?.pause(&mail).await?; // no worker claims its jobs from now on
    /// assert_eq!(client.manage()?.paused().await?, [mail.clone()]);
    /// client.manage()?.resume(&mail).await?;
    /// # Ok::<(), queue_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if the backend does not implement it.
    pub fn manage(&self) -> Result<&dyn Manage> {
        backend::manage(&*self.backend)
    }

    /// Returns the backend.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }
}

#[async_trait]
impl Enqueuer for Client {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        border::submit(self.prepare(jobs)?, |batch| border::insert(&*self.backend, batch)).await
    }

    async fn dequeue(&self, id: JobId) -> Result<Dequeued> {
        enqueuer::dequeue(&*self.backend, id).await
    }
}
