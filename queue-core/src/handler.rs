//! Handlers, and how their attempts end.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use crate::error_chain::error_chain;
#[cfg(feature = "runtime")]
use crate::panic::catch_panic_in;
use crate::{JobContext, Payload};

/// The result of an attempt. A [`JobError`] decides the next state of the job. A handler function
/// may return any `Result` whose error converts into a `JobError`.
pub type HandlerResult<T = ()> = Result<T, JobError>;

/// Runs the jobs of a kind.
///
/// Async functions and closures of `(JobContext, Payload)` are handlers:
///
/// ```
/// use queue_core::{HandlerResult, JobContext, JobError, Payload, TaskOptions};
///
/// async fn send_email(context: JobContext, payload: Payload) -> HandlerResult {
///     let to: String = payload.decode()?; // an error fails the attempt
///     if to.is_empty() {
///         return Err(JobError::bury("no address")); // a retry cannot help
///     }
///     context.capture_result("sent");
///     Ok(())
/// }
/// # fn register(queue: &mut dyn queue_core::Queue) -> queue_core::Result<()> {
/// queue.handle("send-email", std::sync::Arc::new(send_email), TaskOptions::new())
/// # }
/// ```
///
/// A panic of a handler fails its attempt, whose error has the message and the place of the panic.
/// The worker continues.
///
/// # Cancellation
/// When an attempt times out, its token is cancelled. If the future does not end shortly after, it
/// is dropped.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs one attempt of a job on the exact JSON bytes that were enqueued.
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult;

    /// Returns whether dropping the future of [`run`](Self::run) stops the work.
    fn stop(&self) -> Stop {
        Stop::OnDrop
    }
}

/// How a handler that has timed out stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Dropping its future stops it.
    OnDrop,
    /// Only its own return stops it. The worker waits for the return, and does not fail the attempt
    /// while the work still runs.
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

/// Why an attempt did not complete its job, and the next state of the job.
///
/// `?` turns any error, `anyhow::Error`, boxed error or text into `Retry`, with its sources. A
/// handler that also buries, snoozes or cancels returns a [`HandlerResult`], where `anyhow::bail!`
/// does not work: write `Err("no such order")?` or `return Err(anyhow!(…).into())`.
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
    /// The attempt failed. The job is retried after its backoff, or after `after`.
    Retry {
        /// The error and its sources.
        error: String,
        /// The delay, which replaces the backoff.
        after: Option<Duration>,
    },
    /// The payload is not of the type that the handler expects. The job gets a second attempt,
    /// because a worker of another version may be able to read it, and is then dead. See
    /// [`WorkerSettings::decode_retries`](crate::runtime::WorkerSettings::decode_retries). The log
    /// does not have this error, which may quote the payload.
    Undecodable {
        /// The error of the decoding.
        error: String,
    },
    /// The job becomes dead, even if attempts are left.
    Bury {
        /// The error of the attempt.
        error: String,
    },
    /// The job runs again after this delay. The attempt is refunded.
    Snooze {
        /// The delay.
        delay: Duration,
    },
    /// The job becomes cancelled.
    Cancel {
        /// The reason.
        reason: String,
    },
}

impl JobError {
    /// Fails the attempt. The job is retried after its backoff.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::Retry { error: error.to_string(), after: None }
    }

    /// Fails the attempt. The job is retried after `delay`.
    pub fn retry_after(delay: Duration, error: impl fmt::Display) -> Self {
        Self::Retry { error: error.to_string(), after: Some(delay) }
    }

    /// Fails the attempt, because the payload is not of the expected type.
    pub fn undecodable(error: impl fmt::Display) -> Self {
        Self::Undecodable { error: error.to_string() }
    }

    /// Makes the job dead.
    pub fn bury(error: impl fmt::Display) -> Self {
        Self::Bury { error: error.to_string() }
    }

    /// Runs the job again after `delay`, and refunds the attempt.
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Self::Snooze { delay }
    }

    /// Cancels the job.
    pub fn cancel(reason: impl fmt::Display) -> Self {
        Self::Cancel { reason: reason.to_string() }
    }

    /// Whether another attempt may follow, so that the handler has not decided the job's end.
    #[cfg(feature = "runtime")]
    pub(crate) const fn is_retried(&self) -> bool {
        matches!(self, Self::Retry { .. } | Self::Undecodable { .. })
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { error, .. } | Self::Undecodable { error } | Self::Bury { error } => {
                f.write_str(error)
            }
            Self::Snooze { delay } => write!(f, "snoozed for {delay:?}"),
            Self::Cancel { reason } => write!(f, "cancelled: {reason}"),
        }
    }
}

/// [`JobError`] is not an `Error` itself, because otherwise this conversion would overlap with
/// `From<T> for T`.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for JobError {
    fn from(error: E) -> Self {
        let error = error.into();
        let text = error_chain(&*error);
        match error.downcast_ref::<crate::Error>() {
            Some(error) if error.is_undecodable() => Self::Undecodable { error: text },
            _ => Self::Retry { error: text, after: None },
        }
    }
}

/// Creates a handler from a function that blocks its thread. It runs on tokio's pool of blocking
/// threads.
///
/// A thread cannot be stopped by the worker. Therefore the function should check
/// [`JobContext::cancellation`] regularly. It occupies its slot until it returns.
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

/// The handler that [`blocking`] returns.
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

/// Runs a blocking function on tokio's pool of blocking threads.
#[cfg(feature = "runtime")]
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> HandlerResult<T> + Send + 'static,
) -> HandlerResult<T> {
    // Caught there, because the place of a panic is known only on its thread.
    match tokio::task::spawn_blocking(move || catch_panic_in(work)).await {
        Ok(Ok(result)) => result,
        // Resumed, because the worker catches it and names the job.
        Ok(Err(panic)) => panic.resume(),
        Err(_) => Err(JobError::retry("the runtime for blocking work has shut down")),
    }
}
