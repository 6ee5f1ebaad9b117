//! What runs a job, and how a run can end.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use crate::error_chain::error_chain;
use crate::{JobContext, Payload};

/// How a handler ends: well, or with a [`JobError`] that says what becomes of the job.
pub type HandlerResult<T = ()> = Result<T, JobError>;

/// Runs the jobs of a kind.
///
/// Async functions and closures of `(JobContext, Payload)` are handlers:
///
/// ```
/// use queue_core::{HandlerResult, JobContext, JobError, Payload, TaskOptions};
///
/// async fn send_email(context: JobContext, payload: Payload) -> HandlerResult {
///     let to: String = payload.decode()?; // an error is a failed attempt
///     if to.is_empty() {
///         return Err(JobError::bury("no address")); // trying again cannot help
///     }
///     context.capture_result("sent");
///     Ok(())
/// }
/// # fn register(queue: &mut dyn queue_core::Queue) -> queue_core::Result<()> {
/// queue.handle("send-email", std::sync::Arc::new(send_email), TaskOptions::new())
/// # }
/// ```
///
/// A handler that panics fails its attempt; the worker goes on.
///
/// # Cancellation
/// When the time of an attempt is over, its token is cancelled; a future that does not end by itself
/// shortly after is dropped.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt of a job on the exact JSON bytes that were enqueued.
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult;

    /// Whether dropping the future of [`run`](Self::run) stops the work.
    fn stop(&self) -> Stop {
        Stop::OnDrop
    }
}

/// What stops a handler whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Dropping its future does.
    OnDrop,
    /// Only its own return does; the worker waits for that, and never calls the attempt failed while
    /// its work runs on.
    OnReturn,
}

#[async_trait]
impl<F, Fut> Handler for F
where
    F: Fn(JobContext, Payload) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        self(context, payload).await
    }
}

/// Why an attempt did not end well, and what becomes of the job.
///
/// Any error becomes one by `?`, and has the job retried.
///
/// ```
/// use std::time::Duration;
/// use queue_core::{HandlerResult, JobError};
///
/// fn read() -> HandlerResult<String> {
///     Ok(std::fs::read_to_string("/no/such/file")?)
/// }
/// assert!(matches!(read(), Err(JobError::Retry { after: None, .. })));
/// let later = JobError::snooze(Duration::from_secs(60));
/// assert_eq!(later.to_string(), "snoozed for 60s");
/// ```
#[derive(Debug)]
pub enum JobError {
    /// The attempt failed: try again after the job's backoff, or after this long.
    Retry {
        /// What went wrong, with its causes.
        error: String,
        /// The delay instead of the backoff.
        after: Option<Duration>,
    },
    /// Give the job up: it is dead, whatever attempts are left.
    Bury {
        /// Why.
        error: String,
    },
    /// Not now: run it again after this long. Costs no attempt.
    Snooze {
        /// How long.
        delay: Duration,
    },
    /// The job is no longer wanted: it is cancelled.
    Cancel {
        /// Why.
        reason: String,
    },
}

impl JobError {
    /// Failed: retry after the job's backoff.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::Retry { error: error.to_string(), after: None }
    }

    /// Failed: retry after `delay`.
    pub fn retry_after(delay: Duration, error: impl fmt::Display) -> Self {
        Self::Retry { error: error.to_string(), after: Some(delay) }
    }

    /// Give the job up.
    pub fn bury(error: impl fmt::Display) -> Self {
        Self::Bury { error: error.to_string() }
    }

    /// Run the job again after `delay`, at no cost.
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Self::Snooze { delay }
    }

    /// The job is no longer wanted.
    pub fn cancel(reason: impl fmt::Display) -> Self {
        Self::Cancel { reason: reason.to_string() }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { error, .. } | Self::Bury { error } => f.write_str(error),
            Self::Snooze { delay } => write!(f, "snoozed for {delay:?}"),
            Self::Cancel { reason } => write!(f, "cancelled: {reason}"),
        }
    }
}

/// Not an `Error` itself, so that every error can become one.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::Retry { error: error_chain(&error), after: None }
    }
}

/// A handler from a function that blocks its thread. It runs on the thread pool for blocking work.
///
/// A thread cannot be stopped from outside: the function should look at
/// [`JobContext::cancellation`] now and then. Until it returns, its slot stays taken.
///
/// ```
/// use queue_core::{HandlerResult, JobContext, Payload, TaskOptions, blocking};
///
/// fn resize(context: JobContext, payload: Payload) -> HandlerResult {
///     let path: String = payload.decode()?;
///     context.capture_result(std::fs::metadata(path)?.len().to_string());
///     Ok(())
/// }
/// # fn register(queue: &mut dyn queue_core::Queue) -> queue_core::Result<()> {
/// queue.handle("resize", std::sync::Arc::new(blocking(resize)), TaskOptions::new())
/// # }
/// ```
#[cfg(feature = "runtime")]
pub fn blocking<F>(function: F) -> Blocking<F>
where
    F: Fn(JobContext, Payload) -> HandlerResult + Send + Sync + 'static,
{
    Blocking(std::sync::Arc::new(function))
}

/// The handler made by [`blocking`].
#[cfg(feature = "runtime")]
pub struct Blocking<F>(std::sync::Arc<F>);

#[cfg(feature = "runtime")]
impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

#[cfg(feature = "runtime")]
#[async_trait]
impl<F> Handler for Blocking<F>
where
    F: Fn(JobContext, Payload) -> HandlerResult + Send + Sync + 'static,
{
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        let function = std::sync::Arc::clone(&self.0);
        off_thread(move || function(context, payload)).await
    }

    fn stop(&self) -> Stop {
        Stop::OnReturn
    }
}

/// Runs what blocks on the pool of threads for that.
#[cfg(feature = "runtime")]
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> HandlerResult<T> + Send + 'static,
) -> HandlerResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => match failure.try_into_panic() {
            // Goes on in the worker, which names the job.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(JobError::retry("the runtime for blocking work has shut down")),
        },
    }
}
