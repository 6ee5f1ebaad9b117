//! A queue for tests that records jobs and does not run them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::backend::Inspect;
use crate::{
    CancelReply, Enqueuer, Handler, JobId, JobQueue, JobSpec, Kind, MemoryBackend, NewJob, Queue, Result,
    Submitted, TaskOptions,
};

/// A [`Queue`] for tests. It checks handlers and jobs as a real queue does, records them, and runs
/// no job. Clones share the queue.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{
///     Enqueuer, EnqueuerExt, HandlerResult, JobContext, Kind, Payload, Queue, TaskOptions,
/// };
/// use queue_core::testing::{FakeQueue, run_inline};
///
/// async fn sign_up(jobs: &dyn Enqueuer, name: &str) -> queue_core::Result<()> {
///     jobs.enqueue_value("send-email", name).await?;
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut queue = FakeQueue::new();
/// let send = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
/// queue.handle("send-email", Arc::new(send), TaskOptions::new().priority(5))?;
///
/// sign_up(&queue, "ada").await?;
///
/// let jobs = queue.enqueued_of("send-email");
/// assert_eq!(jobs[0].payload.as_str(), "\"ada\"");
/// assert_eq!(jobs[0].priority, 5);
/// let handler = queue.handler("send-email").unwrap();
/// let context = JobContext::new(jobs[0].kind.clone());
/// assert!(run_inline(&*handler, context, jobs[0].payload.clone()).await.outcome.is_ok());
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct FakeQueue(Arc<Shared>);

struct Shared {
    backend: MemoryBackend,
    queue: Mutex<JobQueue>,
    enqueuer: Arc<dyn Enqueuer>,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    handlers: BTreeMap<Kind, Arc<dyn Handler>>,
    enqueued: Vec<JobSpec>,
    dequeued: Vec<JobId>,
}

impl FakeQueue {
    /// Creates a queue without handlers.
    #[must_use]
    pub fn new() -> Self {
        let backend = MemoryBackend::new();
        let queue = JobQueue::new(Arc::new(backend.clone()));
        let enqueuer = queue.enqueuer();
        Self(Arc::new(Shared { backend, queue: Mutex::new(queue), enqueuer, records: Mutex::default() }))
    }

    /// Returns the kinds that have a handler, in alphabetical order.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        lock(&self.0.records).handlers.keys().cloned().collect()
    }

    /// Returns the handler of a kind.
    #[must_use]
    pub fn handler(&self, kind: &str) -> Option<Arc<dyn Handler>> {
        lock(&self.0.records).handlers.get(kind).cloned()
    }

    /// Returns all enqueued jobs in order, with all options set. Cancelled jobs are included.
    #[must_use]
    pub fn enqueued(&self) -> Vec<JobSpec> {
        lock(&self.0.records).enqueued.clone()
    }

    /// Returns the enqueued jobs of one kind, in order.
    #[must_use]
    pub fn enqueued_of(&self, kind: &str) -> Vec<JobSpec> {
        let mut jobs = self.enqueued();
        jobs.retain(|job| job.kind.as_str() == kind);
        jobs
    }

    /// Returns the dequeued jobs, in order.
    #[must_use]
    pub fn dequeued(&self) -> Vec<JobId> {
        lock(&self.0.records).dequeued.clone()
    }
}

impl Default for FakeQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Enqueuer for Shared {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        let submitted = self.enqueuer.submit(jobs).await?;
        let new: Vec<JobId> = submitted.iter().filter(|job| job.is_new()).map(|job| job.id).collect();
        let stored = Inspect::jobs(&self.backend, &new).await?;
        lock(&self.records).enqueued.extend(stored.into_iter().flatten().map(|record| record.job));
        Ok(submitted)
    }

    async fn dequeue(&self, id: JobId) -> Result<CancelReply> {
        let found = self.enqueuer.dequeue(id).await?;
        if found == CancelReply::Cancelled {
            lock(&self.records).dequeued.push(id);
        }
        Ok(found)
    }
}

#[async_trait]
impl Enqueuer for FakeQueue {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        self.0.submit(jobs).await
    }

    async fn dequeue(&self, id: JobId) -> Result<CancelReply> {
        self.0.dequeue(id).await
    }
}

impl Queue for FakeQueue {
    fn handle(&mut self, kind: &str, handler: Arc<dyn Handler>, options: TaskOptions) -> Result<()> {
        lock(&self.0.queue).handle(kind, Arc::clone(&handler), options)?;
        lock(&self.0.records).handlers.insert(Kind::new(kind)?, handler);
        Ok(())
    }

    fn enqueuer(&self) -> Arc<dyn Enqueuer> {
        Arc::clone(&self.0) as Arc<dyn Enqueuer>
    }
}

impl fmt::Debug for FakeQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enqueued = lock(&self.0.records).enqueued.len();
        f.debug_struct("FakeQueue").field("kinds", &self.kinds()).field("enqueued", &enqueued).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
