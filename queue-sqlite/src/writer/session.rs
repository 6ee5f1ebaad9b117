//! What the writer's operations work with.

use std::path::PathBuf;

use queue_core::{Error, Timestamp};

use crate::damaged::Damaged;
use crate::error::{Fault, Outcome};
use crate::file_connection::FileConnection;
use crate::identity::FilesLost;
use crate::names::Names;
use crate::places::Places;
use crate::prune::Place;
use crate::transaction;
use crate::unwritable::Unwritable;
use crate::wake::data_version;

/// The writing connection, and what is remembered of its tables.
///
/// Nothing that is remembered outlives a change of the file by other programs. Each type says what
/// invalidates it, or why it is only a hint. Statements are compiled anew by SQLite itself when the
/// schema has changed, also by a restore. A connection that is opened anew has a new session.
pub(crate) struct Session {
    pub(crate) connection: FileConnection,
    pub(crate) file: Option<PathBuf>,
    /// The version of the data under which `names` was filled.
    version: Option<i64>,
    /// The version of the data when the files were last seen at their paths.
    version_in_place: Option<i64>,
    /// The bytes of the write-ahead log when the files were last checked.
    pub(crate) log_bytes: u64,
    /// Whether the open files are still the ones at their paths, as last checked.
    pub(crate) files: Files,
    pub(crate) names: Names,
    pub(crate) places: Places,
    pub(crate) swept: Place,
    pub(crate) damaged: Damaged,
    pub(crate) unwritable: Unwritable,
    /// Jobs became ready here since a claim last found fewer than it asked for. Only a hint: it
    /// saves a look that would lead to a transaction anyway, and both read the tables.
    pub(crate) is_stirred: bool,
}

/// Whether the files that are open can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    AtTheirPaths,
    /// The connection must be closed.
    Lost,
}

impl Session {
    pub(crate) fn new(connection: FileConnection, file: Option<PathBuf>) -> Self {
        Self {
            connection,
            file,
            version: None,
            version_in_place: None,
            log_bytes: 0,
            files: Files::AtTheirPaths,
            names: Names::default(),
            places: Places::default(),
            swept: Place::default(),
            damaged: Damaged::default(),
            unwritable: Unwritable::default(),
            is_stirred: false,
        }
    }

    /// Begins a transaction that may write, waiting a short time only.
    pub(crate) fn begin(&mut self) -> Result<(), rusqlite::Error> {
        transaction::try_begin(&self.connection)?;
        self.forget_what_changed().inspect_err(|_| {
            // The first error is the one to report.
            let _ = transaction::rollback(&self.connection);
        })
    }

    /// Reads within one snapshot.
    pub(crate) fn in_snapshot<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> Result<T, rusqlite::Error> {
        transaction::run(&self.connection, "BEGIN")?;
        let result = self.forget_what_changed().map(|()| look(self));
        transaction::rollback(&self.connection)?;
        result
    }

    /// Checks that the open files are at their paths.
    pub(crate) fn check_files(&mut self) -> Result<(), FilesLost> {
        let checked = self.connection.check();
        self.note(checked)
    }

    /// Checks that the files into which a commit just went are at their paths.
    pub(crate) fn check_commit(&mut self) -> Result<(), FilesLost> {
        let checked = self.connection.check_commit();
        self.note(checked)
    }

    fn note(&mut self, checked: Result<u64, FilesLost>) -> Result<(), FilesLost> {
        match checked {
            Ok(log_bytes) => {
                self.log_bytes = log_bytes;
                self.version_in_place = self.version;
                self.files = Files::AtTheirPaths;
                Ok(())
            }
            Err(lost) => {
                self.files = Files::Lost;
                Err(lost)
            }
        }
    }

    /// Saves what is in the log of lost files, before they are closed.
    pub(crate) fn save_log(&self) {
        self.connection.save_log(self.version_in_place);
    }

    /// Forgets the names if another connection has committed since the last transaction. The answer
    /// holds for the whole transaction, because all of it sees one snapshot.
    fn forget_what_changed(&mut self) -> Result<(), rusqlite::Error> {
        let version = data_version(&self.connection)?;
        if self.version.replace(version) != Some(version) {
            self.names.clear();
        }
        Ok(())
    }

    /// Does something whole or not at all within the transaction. The outer error means that SQLite
    /// has undone the whole transaction, or left it in doubt.
    pub(crate) fn scoped<T>(&mut self, act: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<Outcome<T>> {
        transaction::run(&self.connection, "SAVEPOINT queue_scope")?;
        let result = act(self);
        if result.is_ok() {
            transaction::run(&self.connection, "RELEASE queue_scope")?;
            return Ok(result);
        }
        self.names.forget();
        if self.connection.is_autocommit() {
            return result.map(Ok);
        }
        // To roll back to a savepoint leaves it open.
        transaction::run(&self.connection, "ROLLBACK TO queue_scope")?;
        transaction::run(&self.connection, "RELEASE queue_scope")?;
        Ok(result)
    }

    /// The error for the caller.
    pub(crate) fn error(&self, fault: Fault, operation: &str) -> Error {
        fault.into_error(operation, self.file.as_deref())
    }
}

/// The time of a request: the caller's, or the clock of this machine, which is the clock of all
/// processes that can open the file.
pub(crate) fn time(now: Option<Timestamp>) -> Timestamp {
    now.unwrap_or_else(Timestamp::now)
}
