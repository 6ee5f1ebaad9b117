//! The state of the writer.

use std::path::PathBuf;

use queue_core::{Error, Timestamp};

use crate::damaged::Damaged;
use crate::error::{Fault, Outcome};
use crate::file_connection::FileConnection;
use crate::identity::FilesLost;
use crate::names::Names;
use crate::prune::SweepPosition;
use crate::row_cache::RowCache;
use crate::transaction;
use crate::unwritable::Unwritable;
use crate::wake::data_version;
use crate::watched_jobs::WatchedJobs;

/// The writing connection and its caches.
///
/// No cache outlives a change of the file by another program. Each type says what invalidates it,
/// or why it is only a hint. SQLite recompiles statements when the schema changes, also after a
/// restore. A reopened connection has a new session.
pub(crate) struct Session {
    pub(crate) connection: FileConnection,
    pub(crate) file: Option<PathBuf>,
    /// The data version at which `names` was filled.
    version: Option<i64>,
    /// The data version when the files were last at their paths.
    version_in_place: Option<i64>,
    /// The size of the write-ahead log at the last check of the files, in bytes.
    pub(crate) log_bytes: u64,
    /// The result of the last check of the files.
    pub(crate) files: Files,
    pub(crate) names: Names,
    pub(crate) row_cache: RowCache,
    pub(crate) sweep_position: SweepPosition,
    pub(crate) damaged: Damaged,
    pub(crate) unwritable: Unwritable,
    pub(crate) watched: WatchedJobs,
    /// Whether jobs became ready here after a claim that found fewer than its limit. Only a hint,
    /// which saves a read before a transaction. Both read the tables.
    pub(crate) may_have_ready_jobs: bool,
}

/// Whether the open files can be used.
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
            row_cache: RowCache::default(),
            sweep_position: SweepPosition::default(),
            damaged: Damaged::default(),
            unwritable: Unwritable::default(),
            watched: WatchedJobs::default(),
            may_have_ready_jobs: false,
        }
    }

    /// Begins a transaction that may write. Waits for the lock at most for the busy timeout.
    pub(crate) fn begin(&mut self) -> Result<(), rusqlite::Error> {
        transaction::try_begin(&self.connection)?;
        self.forget_what_changed().inspect_err(|_| {
            // Returns the first error, not the one of the rollback.
            let _ = transaction::rollback(&self.connection);
        })
    }

    /// Reads one snapshot.
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

    /// Checks that the files of the last commit are at their paths.
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

    /// Saves the log of lost files before they are closed.
    pub(crate) fn save_log(&self) {
        self.connection.save_log(self.version_in_place);
    }

    /// Clears the names if another connection has committed after the last transaction. Checking
    /// once per transaction is enough, because all of it sees one snapshot.
    fn forget_what_changed(&mut self) -> Result<(), rusqlite::Error> {
        let version = data_version(&self.connection)?;
        if self.version.replace(version) != Some(version) {
            self.names.clear();
        }
        Ok(())
    }

    /// Runs `act` in a savepoint. The outer error means that SQLite rolled back the whole
    /// transaction, or may have.
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
        // A rollback to a savepoint leaves it open.
        transaction::run(&self.connection, "ROLLBACK TO queue_scope")?;
        transaction::run(&self.connection, "RELEASE queue_scope")?;
        Ok(result)
    }

    pub(crate) fn error(&self, fault: Fault, operation: &str) -> Error {
        fault.into_error(operation, self.file.as_deref())
    }
}

/// The time of a request: the caller's, otherwise the clock of this machine. All processes that can
/// open the file share that clock.
pub(crate) fn time(now: Option<Timestamp>) -> Timestamp {
    now.unwrap_or_else(Timestamp::now)
}
