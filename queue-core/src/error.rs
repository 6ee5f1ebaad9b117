//! The one error of the workspace: opaque, with a kind by meaning to the caller.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use crate::JobId;
use crate::error_chain::sources;

/// A result with the workspace's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What an error means, and so what its receiver can do.
///
/// The same error means different things to different receivers. A program that opens a handle or enqueues a job asks
/// whether trying again can help: [`is_retryable`](Self::is_retryable). A worker holds results that exist nowhere else,
/// so it asks whether the storage will refuse them whatever happens: [`is_final`](Self::is_final). For every other
/// error it keeps the results and tries again for as long as the leases last.
///
/// | kind | caller | worker that holds results |
/// |---|---|---|
/// | `Busy`, `Unavailable`, `UnknownOutcome` | try again | keep, try again |
/// | `Misconfigured`, `Corrupt` | fail; an operator must act | keep, try again |
/// | `NotFound`, `Conflict`, `Invalid`, `Unsupported` | send another request | drop what was refused |
/// | `LeaseLost`, `WorkerLost` | | drop what was lost |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was named does not exist.
    NotFound,
    /// It exists already, with other content, or two requests contradict each other.
    Conflict,
    /// The lease was taken away: another claim may run the job. Nothing was changed.
    LeaseLost,
    /// The worker was given up by the others. It must register anew; its leases are gone.
    WorkerLost,
    /// Another connection holds what is needed. Nothing was changed; trying again helps.
    Busy,
    /// The storage cannot be reached or cannot write now. Nothing was changed; trying again may help.
    Unavailable,
    /// The commit may or may not have happened. Repeat it with the same ids ([`Error::jobs`]).
    UnknownOutcome,
    /// The request itself is wrong, or the storage does not accept one of its rows. Nothing was changed; only
    /// another request helps.
    Invalid,
    /// The storage is not set up so that this program can do this: a password, an access rule, a right, a database, a
    /// schema or a table is missing or has changed. Nothing was changed; an operator must act.
    Misconfigured,
    /// What is stored cannot be understood.
    Corrupt,
    /// The backend cannot do this.
    Unsupported,
}

impl ErrorKind {
    /// Whether the same request can succeed later without anybody acting.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable | Self::UnknownOutcome)
    }

    /// Whether the storage refuses this very request for good, whatever happens to the storage.
    ///
    /// Everything else is an outage to a worker: it drops no result and no lease because of it.
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

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was attempted, on what, why it failed, and whether trying again helps.
///
/// The driver's own error, where there is one, is the [`source`](StdError::source).
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
    /// Makes an error. `operation` completes the phrase "failed to …"; `message` says why.
    pub fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: operation.into(),
            message: message.into(),
            jobs: Vec::new(),
            source: None,
        }))
    }

    /// An [`ErrorKind::Invalid`] error.
    pub fn invalid(operation: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, operation, message)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds the jobs that are concerned.
    #[must_use]
    pub fn with_jobs(mut self, jobs: Vec<JobId>) -> Self {
        self.0.jobs = jobs;
        self
    }

    /// What the error means to the caller.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done, as it completes the phrase "failed to …".
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// Why it failed, without the operation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The jobs concerned; for [`ErrorKind::UnknownOutcome`] of an enqueue, all ids of the batch in
    /// input order: enqueueing again with them makes each job once.
    #[must_use]
    pub fn jobs(&self) -> &[JobId] {
        &self.0.jobs
    }

    /// Whether the same request can succeed later without anybody acting ([`ErrorKind::is_retryable`]).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether the storage refuses this very request for good ([`ErrorKind::is_final`]).
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.0.kind.is_final()
    }
}

/// The message, the kind, and what caused it: `fn main() -> Result<()>` prints this.
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
