//! Translates errors of SQLite.

use std::path::Path;

use queue_core::{Error, ErrorKind, JobId};
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why an operation failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The request is refused; the transaction is intact.
    Refused(Error),
    /// SQLite failed and may have rolled back the transaction.
    Driver(rusqlite::Error),
}

/// The result of a step within a transaction.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// Whether the only fault is an unreadable stored value.
    pub(crate) fn is_of_a_value(&self) -> bool {
        match self {
            Self::Refused(error) => error.kind() == ErrorKind::Corrupt,
            Self::Driver(error) => error.sqlite_error().is_none(),
        }
    }

    /// Whether the only fault is one row that cannot be read or written. Other rows of the set can.
    pub(crate) fn is_of_a_row(&self) -> bool {
        match self {
            Self::Refused(error) => matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid),
            Self::Driver(error) => matches!(
                error.sqlite_error_code(),
                None | Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig)
            ),
        }
    }

    /// The error for the caller: the operation, the file and the cause.
    pub(crate) fn into_error(self, operation: &str, file: Option<&Path>) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Driver(error) => translate(error, operation, file),
        }
    }
}

/// Whether another connection holds the lock.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An unreadable stored value.
pub(crate) fn corrupt(message: impl Into<String>) -> Fault {
    Fault::Refused(Error::new(ErrorKind::Corrupt, "read what is stored", message))
}

/// Reads a job. An error names it, because an operator must find the damaged row.
pub(crate) fn named<T>(job: JobId, read: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    read().map_err(|fault| {
        if !fault.is_of_a_value() {
            return fault;
        }
        let cause = fault.into_error("read what is stored", None);
        let message = format!("the job {job} is damaged: {}", cause.message());
        Fault::Refused(Error::new(ErrorKind::Corrupt, "read what is stored", message).with_source(cause))
    })
}

/// The error for the caller, with SQLite's as its source.
pub(crate) fn translate(error: rusqlite::Error, operation: &str, file: Option<&Path>) -> Error {
    let error = without_statement(error);
    let (kind, cause) = meaning(&error);
    let location = file.map_or_else(|| "memory".to_owned(), |file| format!("`{}`", file.display()));
    let message = match cause {
        Some(cause) => format!("{location}: {cause} ({error})"),
        None => format!("{location}: {error}"),
    };
    Error::new(kind, operation.to_owned(), message).with_source(error)
}

/// Removes the text of the statement, which the driver adds. A migration has a hundred lines, which
/// do not help an operator.
fn without_statement(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqlInputError { error, msg, .. } => rusqlite::Error::SqliteFailure(error, Some(msg)),
        error => error,
    }
}

/// Only the fault of a row may be `Invalid`, because a worker drops the result of a job whose
/// settle is `Invalid`.
fn meaning(error: &rusqlite::Error) -> (ErrorKind, Option<&'static str>) {
    let Some(failure) = error.sqlite_error() else {
        return match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => {
                (ErrorKind::Corrupt, Some("a stored value is malformed"))
            }
            rusqlite::Error::InvalidPath(_) | rusqlite::Error::NulError(_) => {
                (ErrorKind::Invalid, Some("the path is not a valid file path"))
            }
            _ => (ErrorKind::Corrupt, None),
        };
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            ErrorKind::Busy,
            Some(
                "another connection holds the lock, perhaps a transaction of this application that is still open",
            ),
        ),
        ErrorCode::DiskFull => {
            (ErrorKind::Unavailable, Some("the disk is full, or the file is as large as it may get"))
        }
        ErrorCode::CannotOpen => (
            ErrorKind::Unavailable,
            Some("the file cannot be opened or created; its folder must exist and be writable"),
        ),
        ErrorCode::ReadOnly if failure.extended_code == ffi::SQLITE_READONLY_DBMOVED => {
            (ErrorKind::Unavailable, Some("the file was moved while it was open"))
        }
        ErrorCode::ReadOnly => (
            ErrorKind::Misconfigured,
            Some("this program may not write to the file, to its folder, or to its log (`-wal`, `-shm`)"),
        ),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (ErrorKind::Misconfigured, Some("access to the file is denied"))
        }
        ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_FSYNC => (
            ErrorKind::UnknownOutcome,
            Some("the disk did not confirm the write, which is there or not after a crash"),
        ),
        ErrorCode::SystemIoFailure | ErrorCode::NoLargeFileSupport => {
            (ErrorKind::Unavailable, Some("the disk failed"))
        }
        ErrorCode::FileLockingProtocolFailed => {
            (ErrorKind::Busy, Some("other connections kept changing the lock of the write-ahead log"))
        }
        ErrorCode::SchemaChanged => (
            ErrorKind::Unavailable,
            Some("another program kept changing the tables while the statement was prepared"),
        ),
        ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted | ErrorCode::OperationAborted => {
            (ErrorKind::Unavailable, None)
        }
        ErrorCode::NotADatabase => (ErrorKind::Corrupt, Some("the file is not an SQLite database")),
        ErrorCode::DatabaseCorrupt => (ErrorKind::Corrupt, Some("the file is damaged")),
        // A new row never has a number that is taken, unless one table has rows of another copy of
        // the database.
        ErrorCode::ConstraintViolation
            if matches!(
                failure.extended_code,
                ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID
            ) =>
        {
            (ErrorKind::Corrupt, Some("the tables contradict each other"))
        }
        ErrorCode::ConstraintViolation | ErrorCode::TooBig => {
            (ErrorKind::Invalid, Some("the database does not accept the row"))
        }
        _ => (ErrorKind::Misconfigured, Some("the tables do not have the expected columns")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_never_contains_the_statement() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let error = connection.execute_batch("CREATE TABLE t (id); SELECT secret FROM t").unwrap_err();
        let error = translate(error, "open the database", None);
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(!format!("{error:?}").contains("SELECT"), "{error:?}");
        assert!(error.to_string().contains("no such column: secret"), "{error}");
    }

    #[test]
    fn only_a_row_fault_is_final() {
        for code in 1..=28 {
            let is_of_a_row = [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_TOOBIG].contains(&code);
            assert_eq!(translated(code).is_final(), is_of_a_row, "{code}");
        }
    }

    fn translated(code: std::os::raw::c_int) -> Error {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        translate(error, "enqueue jobs", Some(Path::new("/data/jobs.db")))
    }

    #[test]
    fn sqlite_failure_has_kind_and_file() {
        for (code, kind, retryable) in [
            (ffi::SQLITE_BUSY, ErrorKind::Busy, true),
            (ffi::SQLITE_LOCKED, ErrorKind::Busy, true),
            (ffi::SQLITE_FULL, ErrorKind::Unavailable, true),
            (ffi::SQLITE_IOERR_WRITE, ErrorKind::Unavailable, true),
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::UnknownOutcome, true),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Unavailable, true),
            (ffi::SQLITE_READONLY, ErrorKind::Misconfigured, false),
            (ffi::SQLITE_READONLY_DBMOVED, ErrorKind::Unavailable, true),
            (ffi::SQLITE_PERM, ErrorKind::Misconfigured, false),
            (ffi::SQLITE_PROTOCOL, ErrorKind::Busy, true),
            (ffi::SQLITE_SCHEMA, ErrorKind::Unavailable, true),
            (ffi::SQLITE_NOMEM, ErrorKind::Unavailable, true),
            (ffi::SQLITE_INTERRUPT, ErrorKind::Unavailable, true),
            (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, ErrorKind::Corrupt, false),
            (ffi::SQLITE_CONSTRAINT_ROWID, ErrorKind::Corrupt, false),
            (ffi::SQLITE_CONSTRAINT_CHECK, ErrorKind::Invalid, false),
            (ffi::SQLITE_TOOBIG, ErrorKind::Invalid, false),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt, false),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt, false),
            (ffi::SQLITE_ERROR, ErrorKind::Misconfigured, false),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, ErrorKind::Invalid, false),
        ] {
            let error = translated(code);
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
            assert!(error.to_string().starts_with("failed to enqueue jobs: `/data/jobs.db`: "), "{error}");
            assert!(std::error::Error::source(&error).is_some());
        }
    }
}
