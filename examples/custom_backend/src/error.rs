//! What goes wrong in redb, by what it means to the caller.

use std::io;

use queue_core::{Error, ErrorKind, Result};

/// Turns an error of redb into one of the queue.
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

/// What `redb` says is not committed, except for the commit itself: see [`commit`].
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

/// Commits. When that fails nobody knows whether the last write reached the disk.
pub(crate) fn commit(transaction: redb::WriteTransaction) -> Result<()> {
    transaction.commit().map_err(|error| {
        let error = redb::Error::from(error);
        Error::new(ErrorKind::UnknownOutcome, "commit", error.to_string()).with_source(error)
    })
}

/// The same error for another caller: the requests of a group share the fate of their transaction.
pub(crate) fn copy(error: &Error) -> Error {
    Error::new(error.kind(), error.operation().to_owned(), error.message())
}

/// What is stored makes no sense.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, "read the file", message)
}

/// A check that what is stored did not pass.
pub(crate) trait Stored<T> {
    /// The caller asked for nothing wrong: the file holds it.
    fn stored(self) -> Result<T>;
}

impl<T> Stored<T> for Result<T> {
    fn stored(self) -> Result<T> {
        self.map_err(|error| corrupt(error.to_string()).with_source(error))
    }
}
