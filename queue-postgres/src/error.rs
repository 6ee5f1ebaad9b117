//! From the driver's errors to ours.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use queue_core::backend::error_chain;
use queue_core::{Error, ErrorKind};
use tokio_postgres::error::{Severity, SqlState};

use crate::connect::Unreached;

/// The state that our functions raise for a worker that is not registered, or was given up.
const WORKER_LOST: &str = "QUEWL";

/// Why an operation did not succeed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The request cannot be granted, or its answer not be understood.
    Refused(Error),
    /// No connection came up; nothing was sent.
    Unreached(Unreached),
    /// All connections were in use for as long as the request waits for one.
    Occupied,
    /// No connection came up for as long as the request waits for one; nothing was sent.
    NotConnected(Duration),
    /// The server refused, or the connection broke.
    Driver(tokio_postgres::Error),
    /// No answer came in time.
    Silent(Duration),
}

/// The result of a conversation with the server.
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

/// What a request changes: whether a lost answer leaves the outcome open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
}

impl Fault {
    /// What the server said.
    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            _ => None,
        }
    }

    /// Two transactions stood in each other's way, and this one was undone: it is to be done again.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.code(), Some(code) if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code))
    }

    /// The server undid the request because of one of its rows: a part of it may be granted. A damaged page or index
    /// is one row's, too.
    pub(crate) fn is_of_a_value(&self) -> bool {
        self.code().is_some_and(|code| {
            let is_damaged = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code);
            meaning(code).0 == ErrorKind::Invalid || is_damaged
        })
    }

    /// What the server says of a table, a type or a function that is there already.
    pub(crate) fn taken_name(&self) -> Option<String> {
        let taken = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_FUNCTION];
        let Self::Driver(error) = self else { return None };
        let refusal = error.as_db_error().filter(|refusal| taken.contains(refusal.code()))?;
        Some(refusal.message().to_owned())
    }

    /// A row is there already.
    pub(crate) fn is_known(&self) -> bool {
        self.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// The connection is of no further use.
    pub(crate) fn breaks_connection(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreached(_) | Self::Occupied | Self::NotConnected(_) => false,
            Self::Silent(_) => true,
            Self::Driver(error) => match error.code() {
                None => true,
                // The server became a replica, perhaps; another one of the list may be the primary now.
                Some(code) => {
                    [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
                        || ends_session(error)
                }
            },
        }
    }

    /// What the connection prepared is not what is there any more, as after a restore of the schema. Nothing was done, and a new
    /// connection prepares anew.
    pub(crate) fn is_stale_plan(&self) -> bool {
        self.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
    }

    /// The server takes no writes: it is a replica, or became one.
    pub(crate) fn is_read_only(&self) -> bool {
        self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// The server, or a pooler, has no connection left for this role.
    pub(crate) fn is_crowded(&self) -> bool {
        matches!(self, Self::Unreached(unreached) if unreached.is_crowded())
    }

    /// Whether the connection was lost, so that a read can be made on another one.
    pub(crate) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Driver(_)) && self.breaks_connection()
    }

    /// What was sent may have been done, if it writes.
    pub(crate) fn leaves_open(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreached(_) | Self::Occupied | Self::NotConnected(_) => false,
            Self::Silent(_) => true,
            Self::Driver(error) => leaves_open(error),
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
                let message = format!("no connection to the server came up within {after:?}");
                Error::new(ErrorKind::Unavailable, operation, message)
            }
            Self::Silent(after) => {
                let message = format!("the server did not answer within {after:?}");
                Error::new(lost(effect), operation, message)
            }
            Self::Driver(error) => translate(error, operation, effect),
        }
    }
}

/// A stored value that cannot be understood.
pub(crate) fn corrupt(message: impl Into<String>) -> Fault {
    Fault::Refused(Error::new(ErrorKind::Corrupt, "read what is stored", message))
}

/// What it means that the answer to a request that was sent is missing.
const fn lost(effect: Effect) -> ErrorKind {
    match effect {
        Effect::Reads => ErrorKind::Unavailable,
        Effect::Writes => ErrorKind::UnknownOutcome,
    }
}

fn unreached(error: Unreached, operation: &'static str) -> Error {
    let kinds = || error.driver_errors().map(|error| (unconnected_kind(error), error.code().is_some()));
    // An address that does not answer says nothing against one that does: `localhost` has two.
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

/// What it means that a connection was not opened.
///
/// The driver keeps the kind of its errors private, so only the texts tell them apart. A text that another version of the
/// driver words differently means `Unavailable`: the operation is tried again.
fn unconnected_kind(error: &tokio_postgres::Error) -> ErrorKind {
    if let Some(code) = error.code() {
        return connect_kind(code);
    }
    match error.to_string().as_str() {
        // No host, no password, or a way to authenticate that one of the two sides lacks.
        "invalid configuration" | "authentication error" => ErrorKind::Misconfigured,
        // The server has no TLS, or a certificate that is not trusted. A connection that broke meanwhile is an outage.
        "error performing TLS handshake" if !is_broken(error) => ErrorKind::Misconfigured,
        _ => ErrorKind::Unavailable,
    }
}

/// Whether the cause lies in the network; rustls reports its own refusals as `InvalidData`.
fn is_broken(error: &tokio_postgres::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        !matches!(
            cause.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
        )
    })
}

/// Only an operator can correct a setting; everything else may pass by itself.
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
            let kind = if leaves_open(&error) { lost(effect) } else { kind };
            let said = refusal.message();
            (kind, cause.map_or_else(|| said.to_owned(), |cause| format!("{cause} ({said})")))
        }
        None => (lost(effect), format!("the connection was lost: {}", error_chain(&error))),
    };
    Error::new(kind, operation, message).with_source(error)
}

/// Whether the answer is missing, or is of one who may not know it better: a pooler says that it lost the server
/// during a commit.
fn leaves_open(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_none_or(|refusal| meaning(refusal.code()).0 == ErrorKind::Unavailable && ends_session(error))
}

/// Whether the session ended with this error, or was lost by a pooler.
fn ends_session(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|refusal| {
        let is_fatal = matches!(refusal.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        is_fatal || ["08", "57P"].iter().any(|class| refusal.code().code().starts_with(class))
    })
}

/// What a state of the server means. A class that says nothing of the server, the session, the rights or the schema is
/// about the row: triggers of the application raise what they like.
fn meaning(code: &SqlState) -> (ErrorKind, Option<&'static str>) {
    let class = code.code().get(..2).unwrap_or_default();
    match code.code() {
        WORKER_LOST => (ErrorKind::WorkerLost, None),
        "25006" => (ErrorKind::Unavailable, Some("the server is read-only now")),
        "42501" => (ErrorKind::Misconfigured, Some("the role lacks a right that this needs")),
        "53100" => (ErrorKind::Unavailable, Some("the server's disk is full")),
        "55P03" => (ErrorKind::Busy, Some("another transaction holds the lock")),
        "26000" | "42P05" => (
            ErrorKind::Misconfigured,
            Some("a prepared statement is not where it was; behind a pooler, connect with `pgbouncer=true`"),
        ),
        _ => match class {
            "40" => (ErrorKind::Busy, Some("other transactions stood in the way again and again")),
            "08" | "25" | "53" | "55" | "57" | "58" => (ErrorKind::Unavailable, None),
            "0A" | "28" | "F0" | "HV" => (ErrorKind::Misconfigured, None),
            "3D" | "3F" | "42" => {
                (ErrorKind::Misconfigured, Some("the schema is not as this program needs it"))
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
    fn each_state_has_its_meaning() {
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

    /// The error of a connection to a server that sends this and ends the connection.
    async fn connect_error(configuration: &str, answers: &[u8]) -> tokio_postgres::Error {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(answers).await.unwrap();
        theirs.shutdown().await.unwrap();
        let configuration: tokio_postgres::Config = configuration.parse().unwrap();
        configuration.connect_raw(ours, tokio_postgres::NoTls).await.err().unwrap()
    }

    /// Holds the texts of the driver by which its errors are told apart.
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
    fn a_lost_answer_leaves_open_only_what_writes() {
        let kind = |effect| Fault::Silent(Duration::from_secs(1)).into_error("settle jobs", effect).kind();
        assert_eq!(kind(Effect::Writes), ErrorKind::UnknownOutcome);
        assert_eq!(kind(Effect::Reads), ErrorKind::Unavailable);
    }
}
