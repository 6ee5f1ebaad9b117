//! The error of a caller that waits for a result.

use std::any::type_name;
use std::error::Error as StdError;
use std::fmt;

use crate::{Error, JobId};

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResultErrorKind {
    /// The job is dead. The [message](ResultError::message) is the error of its last attempt.
    Dead,
    /// The job was cancelled. The [message](ResultError::message) is the reason, if there is one.
    Cancelled,
    /// There is no such job. It never existed, the transaction that enqueues it has not committed,
    /// or it has ended and was pruned.
    Gone,
    /// The job completed, but its result is not of the expected type.
    Undecodable,
    /// The storage failed. The [source](StdError::source) is its [`Error`].
    Storage,
}

/// A job without a result of the expected type, and the reason.
///
/// It is not an [`Error`], because an error of the storage says whether to send the request again.
/// A dead job stays dead.
///
/// ```
/// # use queue_core::{JobId, JobQueue, ResultErrorKind};
/// # async fn example(jobs: &JobQueue, id: JobId) {
/// match jobs.result::<u64>(id).await {
///     Ok(rows) => println!("{rows} rows"),
///     Err(error) if error.kind() == ResultErrorKind::Dead => {
///         println!("its last attempt failed: {}", error.message());
///     }
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
pub struct ResultError(Box<Inner>);

struct Inner {
    kind: ResultErrorKind,
    job: JobId,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync + 'static>>,
}

impl ResultError {
    fn new(kind: ResultErrorKind, job: JobId, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, job, message: message.into(), source: None }))
    }

    pub(crate) fn dead(job: JobId, error: String) -> Self {
        Self::new(ResultErrorKind::Dead, job, error)
    }

    pub(crate) fn cancelled(job: JobId, reason: Option<String>) -> Self {
        Self::new(ResultErrorKind::Cancelled, job, reason.unwrap_or_default())
    }

    pub(crate) fn gone(job: JobId) -> Self {
        let message = "it does not exist: it was never enqueued, its transaction has not committed, \
            or it was pruned";
        Self::new(ResultErrorKind::Gone, job, message)
    }

    pub(crate) fn undecodable<R>(job: JobId, result: Option<&[u8]>, cause: serde_json::Error) -> Self {
        let expected = type_name::<R>();
        let message = match result {
            Some(_) => format!("it does not decode as `{expected}`: {cause}"),
            None => format!("the job completed without one, and `{expected}` was expected"),
        };
        let mut error = Self::new(ResultErrorKind::Undecodable, job, message);
        error.0.source = Some(cause.into());
        error
    }

    pub(crate) fn storage(job: JobId, cause: Error) -> Self {
        let mut error = Self::new(ResultErrorKind::Storage, job, cause.to_string());
        error.0.source = Some(cause.into());
        error
    }

    /// Returns why there is no result.
    #[must_use]
    pub fn kind(&self) -> ResultErrorKind {
        self.0.kind
    }

    /// Returns the job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.0.job
    }

    /// Returns the cause: the error of the last attempt of a dead job, the reason of a cancel, or
    /// the description of the fault.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    fn inner(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, job, message, .. } = self.inner();
        write!(f, "failed to get the result of job {job}: ")?;
        match kind {
            ResultErrorKind::Dead => write!(f, "the job is dead: {message}"),
            ResultErrorKind::Cancelled if message.is_empty() => f.write_str("the job was cancelled"),
            ResultErrorKind::Cancelled => write!(f, "the job was cancelled: {message}"),
            ResultErrorKind::Gone | ResultErrorKind::Undecodable | ResultErrorKind::Storage => {
                f.write_str(message)
            }
        }
    }
}

/// Shows the message and the kind, because `fn main() -> Result<(), ResultError>` prints this.
impl fmt::Debug for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.0.kind)
    }
}

impl StdError for ResultError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
