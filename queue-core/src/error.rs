//! The error of all crates of the workspace. It is opaque, and its kind states its meaning to the
//! caller.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use crate::JobId;
use crate::error_chain::sources;

/// The operation of an error whose text may quote a payload.
pub(crate) const DECODE_PAYLOAD: &str = "decode a payload";

/// A result with the workspace's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// The meaning of an error to its receiver.
///
/// A program that opens a handle or enqueues a job needs to know whether a retry can help:
/// [`is_retryable`](Self::is_retryable). A worker holds results that exist nowhere else. It needs
/// to know whether the storage will never accept them: [`is_final`](Self::is_final). After any
/// other error, the worker keeps the results and retries until the leases end.
///
/// | kind | caller | worker that holds results |
/// |---|---|---|
/// | `Busy`, `Unavailable`, `UnknownOutcome` | retry | keep, retry |
/// | `Misconfigured`, `Corrupt` | fail; an operator must act | keep, retry |
/// | `NotFound`, `Conflict`, `Invalid`, `Unsupported` | send another request | drop the refused results |
/// | `LeaseLost`, `WorkerLost` | | drop the lost jobs |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named object does not exist.
    NotFound,
    /// The object exists with other content, or two requests contradict each other.
    Conflict,
    /// The lease was lost: another claim may run the job. Nothing was changed.
    LeaseLost,
    /// The worker was marked lost, and its leases have ended. It must register with a new id.
    WorkerLost,
    /// Another connection holds a lock that is needed. Nothing was changed; a retry helps.
    Busy,
    /// The storage cannot be reached or cannot write now. Nothing was changed; a retry may help.
    Unavailable,
    /// The commit may or may not have happened. Repeat the request with the same ids
    /// ([`Error::jobs`]).
    UnknownOutcome,
    /// The request is wrong, or the storage does not accept one of its rows. Nothing was changed;
    /// only another request helps.
    Invalid,
    /// The setup of the storage does not allow the request. A password, an access rule, a right, a
    /// database, a schema or a table is missing or has changed. Nothing was changed; an operator
    /// must act.
    Misconfigured,
    /// A stored value cannot be read.
    Corrupt,
    /// The backend does not implement the request.
    Unsupported,
}

impl ErrorKind {
    /// Returns whether the same request can succeed later without an operator.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::UnknownOutcome)
    }

    /// Returns whether the storage will never accept this request.
    ///
    /// To a worker, every other error is an outage: the worker drops no result and no lease because
    /// of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::NotFound
            | Self::Conflict
            | Self::LeaseLost
            | Self::WorkerLost
            | Self::Invalid
            | Self::Unsupported => true,
            Self::Busy | Self::Unavailable | Self::UnknownOutcome | Self::Misconfigured | Self::Corrupt => {
                false
            }
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::LeaseLost => "lease lost",
            Self::WorkerLost => "worker lost",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::UnknownOutcome => "unknown outcome",
            Self::Invalid => "invalid",
            Self::Misconfigured => "misconfigured",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
        }
    }
}

impl Error {
    /// Says which job of a batch it is about.
    pub(crate) fn numbered(mut self, number: usize, many: usize) -> Self {
        self.0.operation = format!("{} (number {number} of {many})", self.0.operation).into();
        self
    }

    /// Whether a payload did not decode as the type that its reader expected.
    pub(crate) fn is_undecodable(&self) -> bool {
        self.0.kind == ErrorKind::Invalid && self.0.operation == DECODE_PAYLOAD
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed operation, its object, the cause, and whether a retry helps.
///
/// The error of the driver, if there is one, is the [`source`](StdError::source).
///
/// ```
/// use queue_core::{ErrorKind, Kind};
///
/// let error = Kind::new("").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert!(!error.is_retryable());
/// assert_eq!(error.to_string(), "failed to read a kind: the name is empty");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    message: String,
    jobs: Vec<JobId>,
    source: Option<Source>,
}

impl Error {
    /// Creates an error. `operation` completes the phrase "failed to …"; `message` is the cause.
    pub fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: operation.into(),
            message: message.into(),
            jobs: Vec::new(),
            source: None,
        }))
    }

    /// Creates an [`ErrorKind::Invalid`] error.
    pub fn invalid(operation: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, operation, message)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets the jobs that the error concerns.
    #[must_use]
    pub fn with_jobs(mut self, jobs: Vec<JobId>) -> Self {
        self.0.jobs = jobs;
        self
    }

    /// Returns the meaning of the error to the caller.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the operation, which completes the phrase "failed to …".
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// Returns the cause, without the operation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the jobs that the error concerns. For [`ErrorKind::UnknownOutcome`] of an enqueue,
    /// these are all ids of the batch in input order. A retry with these ids inserts each job once.
    #[must_use]
    pub fn jobs(&self) -> &[JobId] {
        &self.0.jobs
    }

    /// Returns whether the same request can succeed later without an operator
    /// ([`ErrorKind::is_retryable`]).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Returns whether the storage will never accept this request ([`ErrorKind::is_final`]).
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.0.kind.is_final()
    }
}

/// Shows the message, the kind and the sources, because `fn main() -> Result<()>` prints this.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.0.kind)?;
        sources(self).try_for_each(|source| write!(f, "; caused by: {source}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}: {}", self.0.operation, self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
