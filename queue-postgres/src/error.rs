//! Translates errors of the driver.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use queue_core::backend::error_chain;
use queue_core::{Error, ErrorKind, JobId};
use tokio_postgres::error::{Severity, SqlState};

use crate::connect::Unreached;

/// The SQLSTATE that the functions raise for a worker that is not registered or is lost.
const WORKER_LOST: &str = "QUEWL";

/// Why an operation failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The request is refused, or its answer is unreadable.
    Refused(Error),
    /// No connection was established; nothing was sent.
    Unreached(Unreached),
    /// All connections were in use until the wait timed out.
    Occupied,
    /// No connection was established until the wait timed out; nothing was sent.
    NotConnected(Duration),
    /// The server refused the request, or the connection broke.
    Driver(tokio_postgres::Error),
    /// The server did not answer in time.
    TimedOut(Duration),
}

/// The result of an exchange with the server.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Whether a request writes. If so, a lost answer means an unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

impl Fault {
    /// The SQLSTATE of the server's error.
    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            _ => None,
        }
    }

    /// Whether the transaction conflicted with another and was rolled back, so that it can be
    /// retried.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.code(), Some(code) if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code))
    }

    /// Whether the server rolled back the request because of one of its rows, so that a part of the
    /// request may succeed. A damaged page or index also concerns one row.
    pub(crate) fn is_row_fault(&self) -> bool {
        self.code().is_some_and(|code| {
            let is_damaged = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code);
            meaning(code).0 == ErrorKind::Invalid || is_damaged
        })
    }

    /// The server's message if a table, a type or a function of the same name exists.
    pub(crate) fn taken_name(&self) -> Option<String> {
        let taken = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_FUNCTION];
        let Self::Driver(error) = self else { return None };
        let refusal = error.as_db_error().filter(|refusal| taken.contains(refusal.code()))?;
        Some(refusal.message().to_owned())
    }

    /// Whether a lock was not free in time.
    pub(crate) fn is_locked(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a row with the same key exists.
    pub(crate) fn is_known(&self) -> bool {
        self.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the connection must be closed.
    pub(crate) fn breaks_connection(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreached(_) | Self::Occupied | Self::NotConnected(_) => false,
            Self::TimedOut(_) => true,
            Self::Driver(error) => match error.code() {
                None => true,
                // The server may be a replica now, and another host of the URL the primary.
                Some(code) => {
                    [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
                        || ends_session(error)
                }
            },
        }
    }

    /// Whether a prepared statement no longer fits the schema, as after a restore. Nothing was
    /// done, and a new connection prepares the statement again.
    pub(crate) fn is_stale_plan(&self) -> bool {
        self.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
    }

    /// Whether the server is read-only, such as a replica.
    pub(crate) fn is_read_only(&self) -> bool {
        self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// Whether the server or a pooler has no connection left for this role.
    pub(crate) fn is_crowded(&self) -> bool {
        matches!(self, Self::Unreached(unreached) if unreached.is_crowded())
    }

    /// Whether the connection was lost, so that a read can be made on another one.
    pub(crate) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Driver(_)) && self.breaks_connection()
    }

    /// Whether a write that was sent may have been committed.
    pub(crate) fn leaves_outcome_unknown(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreached(_) | Self::Occupied | Self::NotConnected(_) => false,
            Self::TimedOut(_) => true,
            Self::Driver(error) => leaves_outcome_unknown(error),
        }
    }

    /// The error for the caller.
    pub(crate) fn into_error(self, operation: &'static str, effect: Effect) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Unreached(error) => unreached(error, operation),
            Self::Occupied => {
                Error::new(ErrorKind::Busy, operation, "all connections of the pool are in use")
            }
            Self::NotConnected(after) => {
                let message = format!("no connection to the server was established within {after:?}");
                Error::new(ErrorKind::Unavailable, operation, message)
            }
            Self::TimedOut(after) => {
                let message = format!("the server did not answer within {after:?}");
                Error::new(lost(effect), operation, message)
            }
            Self::Driver(error) => translate(error, operation, effect),
        }
    }
}

/// An unreadable stored value.
pub(crate) fn corrupt(message: impl Into<String>) -> Fault {
    Fault::Refused(Error::new(ErrorKind::Corrupt, "read what is stored", message))
}

/// Reads a job. An error names it, because an operator must find the damaged row.
pub(crate) fn named<T>(job: JobId, read: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    read().map_err(|fault| match fault {
        Fault::Refused(cause) if cause.kind() == ErrorKind::Corrupt => {
            let message = format!("the job {job} is damaged: {}", cause.message());
            Fault::Refused(Error::new(ErrorKind::Corrupt, "read what is stored", message).with_source(cause))
        }
        fault => fault,
    })
}

/// The kind of a lost answer.
const fn lost(effect: Effect) -> ErrorKind {
    match effect {
        Effect::Reads => ErrorKind::Unavailable,
        Effect::Writes => ErrorKind::UnknownOutcome,
    }
}

fn unreached(error: Unreached, operation: &'static str) -> Error {
    let kinds = || error.driver_errors().map(|error| (unconnected_kind(error), error.code().is_some()));
    // A silent address does not contradict one that refuses the settings: `localhost` has two
    // addresses.
    let is_misconfigured = kinds().any(|(kind, _)| kind == ErrorKind::Misconfigured)
        && !kinds().any(|(kind, is_of_server)| is_of_server && kind != ErrorKind::Misconfigured);
    let kind = if is_misconfigured { ErrorKind::Misconfigured } else { ErrorKind::Unavailable };
    let least = if error.is_crowded() {
        "; a handle needs at least two connections, one for heartbeats and one for requests"
    } else {
        ""
    };
    Error::new(kind, operation, format!("no connection to the server: {error}{least}")).with_source(error)
}

/// The kind of a failed connection attempt.
///
/// The driver keeps the kind of its errors private, so only the texts distinguish them. If another
/// version of the driver changes a text, the error is `Unavailable` and the operation is retried.
fn unconnected_kind(error: &tokio_postgres::Error) -> ErrorKind {
    if let Some(code) = error.code() {
        return connect_kind(code);
    }
    match error.to_string().as_str() {
        // No host, no password, or an authentication method that one of the two sides lacks.
        "invalid configuration" | "authentication error" => ErrorKind::Misconfigured,
        // The server has no TLS or no trusted certificate. A connection that broke during the
        // handshake is an outage.
        "error performing TLS handshake" if !is_broken(error) => ErrorKind::Misconfigured,
        _ => ErrorKind::Unavailable,
    }
}

/// Whether the network is the cause. rustls reports its own refusals as `InvalidData`.
fn is_broken(error: &tokio_postgres::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        !matches!(
            cause.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
        )
    })
}

/// Only an operator can correct a setting. All other failures may be temporary.
fn connect_kind(code: &SqlState) -> ErrorKind {
    match meaning(code).0 {
        ErrorKind::Misconfigured => ErrorKind::Misconfigured,
        _ => ErrorKind::Unavailable,
    }
}

fn translate(error: tokio_postgres::Error, operation: &'static str, effect: Effect) -> Error {
    let (kind, message) = match error.as_db_error() {
        Some(refusal) => {
            let (kind, cause) = meaning(refusal.code());
            let kind = if leaves_outcome_unknown(&error) { lost(effect) } else { kind };
            let text = refusal.message();
            (kind, cause.map_or_else(|| text.to_owned(), |cause| format!("{cause} ({text})")))
        }
        None => (lost(effect), format!("the connection was lost: {}", error_chain(&error))),
    };
    Error::new(kind, operation, message).with_source(error)
}

/// Whether the answer is lost, or is a guess of a pooler that lost the server during a commit.
fn leaves_outcome_unknown(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_none_or(|refusal| meaning(refusal.code()).0 == ErrorKind::Unavailable && ends_session(error))
}

/// Whether the session ended with this error, or a pooler lost it.
fn ends_session(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|refusal| {
        let is_fatal = matches!(refusal.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        is_fatal || ["08", "57P"].iter().any(|class| refusal.code().code().starts_with(class))
    })
}

/// The kind of a SQLSTATE, and its cause in an operator's words. A class that does not concern the
/// server, the session, the rights or the schema concerns the row. Triggers of the application may
/// raise any state.
fn meaning(code: &SqlState) -> (ErrorKind, Option<&'static str>) {
    let class = code.code().get(..2).unwrap_or_default();
    match code.code() {
        WORKER_LOST => (ErrorKind::WorkerLost, None),
        "25006" => (ErrorKind::Unavailable, Some("the server is read-only now")),
        "42501" => (ErrorKind::Misconfigured, Some("the role lacks a required right")),
        "53100" => (ErrorKind::Unavailable, Some("the server's disk is full")),
        "55P03" => (ErrorKind::Busy, Some("another transaction holds the lock")),
        "26000" | "42P05" => (
            ErrorKind::Misconfigured,
            Some("a prepared statement is missing; behind a pooler, connect with `pgbouncer=true`"),
        ),
        _ => match class {
            "40" => (ErrorKind::Busy, Some("other transactions conflicted with it repeatedly")),
            "08" | "25" | "53" | "55" | "57" | "58" => (ErrorKind::Unavailable, None),
            "0A" | "28" | "F0" | "HV" => (ErrorKind::Misconfigured, None),
            "3D" | "3F" | "42" => {
                (ErrorKind::Misconfigured, Some("the schema does not have the expected objects"))
            }
            "XX" => (ErrorKind::Corrupt, None),
            _ => (ErrorKind::Invalid, Some("the database does not accept the row")),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn each_sqlstate_has_its_kind() {
        for (code, kind, retryable) in [
            ("QUEWL", ErrorKind::WorkerLost, false),
            ("25006", ErrorKind::Unavailable, true),
            ("57P01", ErrorKind::Unavailable, true),
            ("53300", ErrorKind::Unavailable, true),
            ("53100", ErrorKind::Unavailable, true),
            ("40P01", ErrorKind::Busy, true),
            ("55P03", ErrorKind::Busy, true),
            ("22P02", ErrorKind::Invalid, false),
            ("23514", ErrorKind::Invalid, false),
            ("42501", ErrorKind::Misconfigured, false),
            ("28P01", ErrorKind::Misconfigured, false),
            ("26000", ErrorKind::Misconfigured, false),
            ("42P01", ErrorKind::Misconfigured, false),
            ("ZZ123", ErrorKind::Invalid, false),
            ("XX001", ErrorKind::Corrupt, false),
        ] {
            let (found, _) = meaning(&SqlState::from_code(code));
            assert_eq!((found, found.is_retryable()), (kind, retryable), "{code}");
        }
    }

    /// The error of a connection to a server that sends these bytes and closes the connection.
    async fn connect_error(configuration: &str, answers: &[u8]) -> tokio_postgres::Error {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(answers).await.unwrap();
        theirs.shutdown().await.unwrap();
        let configuration: tokio_postgres::Config = configuration.parse().unwrap();
        configuration.connect_raw(ours, tokio_postgres::NoTls).await.err().unwrap()
    }

    /// Checks the texts of the driver by which its errors are distinguished.
    #[tokio::test]
    async fn connect_errors_of_settings_are_misconfigured() {
        let cleartext = b"R\0\0\0\x08\0\0\0\x03";
        let kerberos = b"R\0\0\0\x08\0\0\0\x02";
        for (configuration, answers, fault) in [
            ("user=ada sslmode=require", &b"N"[..], "server does not support TLS"),
            ("user=ada sslmode=disable", cleartext, "password missing"),
            ("user=ada sslmode=disable", kerberos, "unsupported authentication method"),
        ] {
            let error = connect_error(configuration, answers).await;
            assert!(error_chain(&error).contains(fault), "{error:?}");
            assert_eq!(unconnected_kind(&error), ErrorKind::Misconfigured, "{error:?}");
        }
        let nowhere = tokio_postgres::Config::new();
        let error = nowhere.connect(tokio_postgres::NoTls).await.err().unwrap();
        assert_eq!(unconnected_kind(&error), ErrorKind::Misconfigured, "{error:?}");
    }

    #[tokio::test]
    async fn connect_errors_of_the_network_are_unavailable() {
        for (mode, answers) in [("disable", &b""[..]), ("disable", b"R"), ("require", b"")] {
            let error = connect_error(&format!("user=ada sslmode={mode}"), answers).await;
            assert_eq!(unconnected_kind(&error), ErrorKind::Unavailable, "{error:?}");
        }
    }

    #[test]
    fn lost_answer_is_unknown_only_for_writes() {
        let kind = |effect| Fault::TimedOut(Duration::from_secs(1)).into_error("settle jobs", effect).kind();
        assert_eq!(kind(Effect::Writes), ErrorKind::UnknownOutcome);
        assert_eq!(kind(Effect::Reads), ErrorKind::Unavailable);
    }
}
