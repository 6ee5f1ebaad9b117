//! The errors of redb, by their meaning to the caller.

use std::io;

use queue_core::{Error, ErrorKind, Result};

/// Converts an error of redb into an error of the queue.
pub(crate) trait Doing<T> {
    /// `what` completes the phrase "failed to …".
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T, E: Into<redb::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &'static str) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            Error::new(kind(&error), what, error.to_string()).with_source(error)
        })
    }
}

/// Returns the kind of an error of a request other than [`commit`]. Such a request has changed
/// nothing.
fn kind(error: &redb::Error) -> ErrorKind {
    match error {
        redb::Error::DatabaseAlreadyOpen => ErrorKind::Busy,
        redb::Error::ValueTooLarge(_) => ErrorKind::Invalid,
        redb::Error::UpgradeRequired(_) => ErrorKind::Unsupported,
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => ErrorKind::Corrupt,
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed => ErrorKind::Unavailable,
        _ => ErrorKind::Corrupt,
    }
}

/// Commits a transaction. If that fails, the outcome is unknown, because the last write may be on
/// disk.
pub(crate) fn commit(transaction: redb::WriteTransaction) -> Result<()> {
    transaction.commit().map_err(|error| {
        let error = redb::Error::from(error);
        Error::new(ErrorKind::UnknownOutcome, "commit", error.to_string()).with_source(error)
    })
}

/// Converts the error of a commit that certainly did not happen.
pub(crate) fn unavailable(error: Error) -> Error {
    let message = error.message().to_owned();
    Error::new(ErrorKind::Unavailable, error.operation().to_owned(), message).with_source(error)
}

/// Copies an error for another caller, because all requests of a group fail with their transaction.
pub(crate) fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.operation().to_owned(), error.message())
}

/// Creates the error of a stored value that is wrong.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, "read the file", message)
}

/// Converts the error of a check of a stored value.
pub(crate) trait Stored<T> {
    /// Returns `Corrupt`, because the wrong value is in the file and not in the request.
    fn stored(self) -> Result<T>;
}

impl<T> Stored<T> for Result<T> {
    fn stored(self) -> Result<T> {
        self.map_err(|error| corrupt(error.to_string()).with_source(error))
    }
}
