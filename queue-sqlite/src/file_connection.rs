//! A connection that checks its files.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use queue_core::ErrorKind;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::error::Outcome;
use crate::identity::{FileBefore, FilesLost, LogAtPath, OpenFiles};
use crate::wake::data_version;

const TRUNCATE: &str = include_str!("sql/log_truncate.sql");

/// A connection to files or to memory. Closing it never changes files that replaced its own.
pub(crate) struct FileConnection {
    connection: Connection,
    /// `None` in memory.
    files: Option<Arc<OpenFiles>>,
}

impl FileConnection {
    /// A connection to memory.
    pub(crate) fn in_memory(connection: Connection) -> Self {
        Self { connection, files: None }
    }

    /// Records the identity of the files. The connection must already have its log open.
    pub(crate) fn new(connection: Connection, path: &Path, before: &FileBefore) -> Outcome<Self> {
        let mut this = Self { connection, files: None };
        match OpenFiles::of(path, before) {
            Ok(files) => this.files = Some(Arc::new(files)),
            Err(lost) => {
                this.leave_log()?;
                return Err(lost.error(ErrorKind::Unavailable, "open the database").into());
            }
        }
        Ok(this)
    }

    /// Another connection to open files, which must be at their paths.
    pub(crate) fn to(files: Arc<OpenFiles>, connection: Connection) -> Self {
        Self { connection, files: Some(files) }
    }

    /// Checks that the files are at their paths. Returns the size of the log in bytes.
    pub(crate) fn check(&self) -> Result<u64, FilesLost> {
        self.files.as_ref().map_or(Ok(0), |files| files.check())
    }

    /// Checks the files of the last commit, like [`check`](Self::check).
    pub(crate) fn check_commit(&self) -> Result<u64, FilesLost> {
        self.files.as_ref().map_or(Ok(0), |files| files.check_commit())
    }

    /// Moves the log of lost files into the open database, because its commits were acknowledged.
    /// Otherwise a removed log is deleted with its last connection, and a log left at its path is
    /// read as a part of the new database.
    ///
    /// Does nothing if another program may use the log. `version` is the data version when the
    /// files were last at their paths. A later version is a commit of another program, perhaps to
    /// the new database. The program that made the last commit to the old database finds no later
    /// version and saves the log.
    pub(crate) fn save_log(&self, version: Option<i64>) {
        let Err(lost) = self.check() else {
            return;
        };
        let is_ours = match lost.log {
            LogAtPath::None => true,
            LogAtPath::Ours => data_version(&self.connection).is_ok_and(|now| Some(now) == version),
            LogAtPath::Unknown => false,
        };
        let saved = is_ours.then(|| truncate_log(&self.connection));
        if !matches!(saved, Some(Ok(LogTruncated::Wholly))) {
            tracing::error!(
                file = ?self.connection.path(),
                result = ?saved,
                "the write-ahead log of a removed or replaced file could not be moved into it; its latest \
                 acknowledged commits are only in that log"
            );
        }
    }

    /// The open files; `None` in memory.
    pub(crate) fn files(&self) -> Option<Arc<OpenFiles>> {
        self.files.clone()
    }

    /// Makes the close leave the log as it is, because the files at the paths may belong to other
    /// programs.
    fn leave_log(&self) -> Result<(), rusqlite::Error> {
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
    }
}

impl Drop for FileConnection {
    fn drop(&mut self) {
        if self.check().is_err() {
            // It never fails on an open connection.
            let _ = self.leave_log();
        }
    }
}

impl Deref for FileConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for FileConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// The result of truncating the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogTruncated {
    /// The database contains all of the log, and the log file is empty.
    Wholly,
    /// Another connection reads from the log or writes.
    Blocked,
}

/// Moves the log into the database and empties its file. Waits for other connections at most for
/// the busy timeout of the connection.
pub(crate) fn truncate_log(connection: &Connection) -> Result<LogTruncated, rusqlite::Error> {
    let is_blocked: bool = connection.prepare_cached(TRUNCATE)?.query_row([], |row| row.get(0))?;
    Ok(if is_blocked { LogTruncated::Blocked } else { LogTruncated::Wholly })
}
