//! Code that runs around the handlers of a worker.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Handler, HandlerResult, JobContext, Payload, Stop};

/// Runs around each handler of a worker, for what many handlers have in common: a value in a
/// task-local, a check, another log line, an error that is translated.
/// [`Worker::middleware`](crate::Worker::middleware) adds it.
///
/// Async functions and closures of `(JobContext, Payload, Next)` are middleware:
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{HandlerResult, JobContext, JobError, JobQueue, Next, Payload, Worker};
/// # use queue_core::{MemoryBackend, Task};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Greet {}
/// # impl Task for Greet { const KIND: &'static str = "greet"; type Output = (); }
/// # async fn greet(_: Greet) -> HandlerResult { Ok(()) }
///
/// tokio::task_local! { static TENANT: String; }
///
/// #[derive(serde::Deserialize)]
/// struct Tenant { tenant: String }
///
/// async fn with_tenant(context: JobContext, payload: Payload, next: Next) -> HandlerResult {
///     let Some(attributes) = context.attributes() else {
///         return Err(JobError::bury("the job belongs to no tenant"));
///     };
///     let Tenant { tenant } = attributes.decode()?;
///     TENANT.scope(tenant, next.run(context, payload)).await
/// }
///
/// # fn build(jobs: &JobQueue) -> Worker {
/// Worker::new(jobs).handle(greet).middleware(with_tenant)
/// # }
/// ```
///
/// Its result is that of the attempt: one that returns `Ok` without running [`Next`] completes the
/// job. Its time counts towards the timeout of the job, and a panic fails the attempt. It passes on
/// the context that it was given, which takes the result of the handler.
///
/// # Cancellation
/// As that of a [`Handler`], whose way to [stop](Handler::stop) is that of the handler inside:
/// around a blocking one it is never dropped, so it must not wait without end.
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Runs one attempt of a job. `next.run` runs the next middleware, and in the end the handler.
    async fn run(&self, context: JobContext, payload: Payload, next: Next) -> HandlerResult;
}

#[async_trait]
impl<F, Fut> Middleware for F
where
    F: Fn(JobContext, Payload, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    async fn run(&self, context: JobContext, payload: Payload, next: Next) -> HandlerResult {
        self(context, payload, next).await
    }
}

/// What a [`Middleware`] runs around: the next middleware, or the handler.
#[must_use = "the handler does not run otherwise"]
pub struct Next(Arc<dyn Handler>);

impl Next {
    /// Runs it.
    ///
    /// # Errors
    /// That of the handler, or of a middleware inside.
    ///
    /// # Cancellation
    /// If the future is dropped, the handler has run as far as it was polled.
    pub async fn run(self, context: JobContext, payload: Payload) -> HandlerResult {
        self.0.run(context, payload).await
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

/// The middleware of a worker, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Vec<Arc<dyn Middleware>>);

impl Layers {
    /// Adds one inside of all others.
    pub(crate) fn add(&mut self, middleware: impl Middleware) {
        self.0.push(Arc::new(middleware));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a handler that runs all of them around this one.
    pub(crate) fn around(&self, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        self.0.iter().rev().fold(handler, |inner, middleware| {
            Arc::new(Layered { middleware: Arc::clone(middleware), inner })
        })
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} layers", self.0.len())
    }
}

/// A handler with one middleware around it.
struct Layered {
    middleware: Arc<dyn Middleware>,
    inner: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for Layered {
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        self.middleware.run(context, payload, Next(Arc::clone(&self.inner))).await
    }

    fn stop(&self) -> Stop {
        self.inner.stop()
    }
}
