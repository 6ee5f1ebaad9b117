//! The queue: registration of handlers, and submission of their jobs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

use crate::backend::{self, Inspect};
#[cfg(feature = "runtime")]
use crate::parked::ParkedClaims;
use crate::poison::ignore_poison;
use crate::{
    Backend, Dequeued, Enqueuer, Error, ErrorKind, Handler, JobId, Kind, Limits, NewJob, Prepared, Result,
    Submitted, TaskOptions, border, enqueuer,
};

/// An [`Enqueuer`] that also registers the handler of each kind.
///
/// It is object-safe: modules of an application register on a `&mut dyn Queue`. See
/// [`HasJobs`](crate::HasJobs).
pub trait Queue: Enqueuer {
    /// Registers the handler of a kind. `options` are the defaults of jobs that are enqueued on
    /// this queue. They are stored with each job, and a worker uses the stored ones.
    ///
    /// # Errors
    /// - [`Invalid`](ErrorKind::Invalid) if the kind is not a valid name.
    /// - [`Conflict`](ErrorKind::Conflict) if the kind already has a handler.
    fn handle(&mut self, kind: &str, handler: Arc<dyn Handler>, options: TaskOptions) -> Result<()>;

    /// Returns an enqueuer for the same kinds, which can outlive the borrow of this queue. Each
    /// call returns the same enqueuer, which the queue keeps.
    fn enqueuer(&self) -> Arc<dyn Enqueuer>;
}

/// A module of an application that registers its own handlers.
///
/// Call it after the configuration of the application and before workers start.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{
///     HandlerResult, HasJobs, JobContext, JobQueue, MemoryBackend, Payload, Queue, Result,
///     TaskOptions,
/// };
///
/// struct Billing;
///
/// impl HasJobs for Billing {
///     fn register_jobs(&self, queue: &mut dyn Queue) -> Result<()> {
///         let invoice = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
///         queue.handle("send-invoice", Arc::new(invoice), TaskOptions::new())
///     }
/// }
///
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// Billing.register_jobs(&mut queue)?;
/// # Ok::<(), queue_core::Error>(())
/// ```
pub trait HasJobs {
    /// Registers this module's handlers.
    ///
    /// # Errors
    /// Those of [`Queue::handle`], and those of the module itself.
    fn register_jobs(&self, queue: &mut dyn Queue) -> Result<()>;
}

/// The handler of a kind, and its options.
#[cfg_attr(not(feature = "runtime"), expect(dead_code, reason = "only a worker runs handlers"))]
pub(crate) struct Registration {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) options: TaskOptions,
}

pub(crate) type Registrations = HashMap<Kind, Arc<Registration>>;

struct Shared {
    backend: Arc<dyn Backend>,
    limits: Limits,
    registrations: RwLock<Registrations>,
    /// The claims of idle workers that serve this queue.
    #[cfg(feature = "runtime")]
    parked: ParkedClaims,
}

impl Shared {
    fn registrations(&self) -> Registrations {
        ignore_poison(self.registrations.read()).clone()
    }

    fn prepare(&self, jobs: Vec<NewJob>) -> Result<Prepared> {
        let known = self.registrations();
        border::prepare(&self.limits, jobs, |job| match known.get(&job.kind) {
            Some(registration) => Ok(&registration.options),
            None => {
                let operation = format!("enqueue a job of kind `{}`", job.kind);
                Err(Error::new(ErrorKind::NotFound, operation, "no handler was registered for this kind"))
            }
        })
    }
}

#[async_trait]
impl Enqueuer for Shared {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        let batch = self.prepare(jobs)?;
        #[cfg(feature = "runtime")]
        let stored = border::submit(batch, |batch| self.parked.insert(&self.backend, batch)).await;
        #[cfg(not(feature = "runtime"))]
        let stored = border::submit(batch, |batch| border::insert(&*self.backend, batch)).await;
        stored
    }

    async fn dequeue(&self, id: JobId) -> Result<Dequeued> {
        enqueuer::dequeue(&*self.backend, id).await
    }
}

/// The [`Queue`] on a backend. It enqueues jobs of its registered kinds, and a worker serves it.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{
///     Enqueuer, HandlerResult, JobContext, JobQueue, MemoryBackend, Payload, Queue, TaskOptions,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let greet = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
/// queue.handle("greet", Arc::new(greet), TaskOptions::new().max_retries(3))?;
/// queue.enqueue("greet", Payload::json("{}")?).await?;
/// let error = queue.enqueue("gret", Payload::json("{}")?).await.unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "failed to enqueue a job of kind `gret`: no handler was registered for this kind"
/// );
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
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
        Self {
            shared: Arc::new(Shared {
                backend,
                limits,
                registrations: RwLock::default(),
                #[cfg(feature = "runtime")]
                parked: ParkedClaims::default(),
            }),
        }
    }

    /// Checks a batch, and fills in the options that its jobs do not set. Nothing is stored.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if a job is refused, and [`NotFound`](ErrorKind::NotFound)
    /// if its kind has no handler.
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

    /// Returns the backend.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.shared.backend
    }

    /// Returns the kinds that have a handler, in alphabetical order.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.shared.registrations().into_keys().collect();
        kinds.sort();
        kinds
    }

    /// Returns another handle on the same queue, for a worker.
    #[cfg(feature = "runtime")]
    pub(crate) fn share(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn parked(&self) -> &ParkedClaims {
        &self.shared.parked
    }

    #[cfg(feature = "runtime")]
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

    async fn dequeue(&self, id: JobId) -> Result<Dequeued> {
        self.shared.dequeue(id).await
    }
}

impl Queue for JobQueue {
    fn handle(&mut self, kind: &str, handler: Arc<dyn Handler>, options: TaskOptions) -> Result<()> {
        let kind = Kind::new(kind)?;
        let mut registrations = ignore_poison(self.shared.registrations.write());
        if registrations.contains_key(&kind) {
            let operation = format!("register a handler for kind `{kind}`");
            return Err(Error::new(ErrorKind::Conflict, operation, "the kind has a handler already"));
        }
        registrations.insert(kind, Arc::new(Registration { handler, options }));
        Ok(())
    }

    fn enqueuer(&self) -> Arc<dyn Enqueuer> {
        Arc::clone(&self.shared) as Arc<dyn Enqueuer>
    }
}
