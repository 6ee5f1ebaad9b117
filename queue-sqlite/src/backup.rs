//! Copies the database while requests continue.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use queue_core::backend::{OwnProcess, WakeHints, ignore_poison};
use queue_core::{Error, ErrorKind, Result};
use rusqlite::MAIN_DB;
use tokio::sync::oneshot;

use crate::backend::SqliteBackend;
use crate::config::SqliteConfig;
use crate::connection::open_copier;
use crate::error::Outcome;
use crate::reader::CountedFiles;
use crate::writer::command::Request;
use crate::writer::session::Session;

const VACUUM_INTO: &str = include_str!("sql/vacuum_into.sql");
const OPERATION: &str = "back up the database";

/// SQLite treats files with these suffixes beside a database as parts of it.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];

impl SqliteBackend {
    /// Copies the database, including the application's tables, to a file that must not exist.
    ///
    /// The copy is one snapshot. It contains each request acknowledged before the call, and each
    /// batch whole or not at all. Requests continue during the copy, and the write-ahead log grows
    /// until it is complete. When this returns `Ok`, the copy is on disk, without free pages and
    /// without a log. A handle that opens the copy finds the jobs in the states of the snapshot.
    /// Running jobs are rescued when their workers expire.
    ///
    /// ```
    /// use queue_sqlite::{SqliteBackend, SqliteConfig};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let folder = tempfile::TempDir::new().unwrap();
    /// let backend = SqliteBackend::open(SqliteConfig::new(folder.path().join("jobs.db"))).await?;
    /// backend.backup_to(folder.path().join("backup.db")).await?;
    /// # Ok::<(), queue_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// After an error the path has no file, unless it existed before.
    /// - [`Conflict`](ErrorKind::Conflict): a file, or a log of that name, exists at the path.
    /// - [`Unavailable`](ErrorKind::Unavailable): the copy cannot be created or written, the disk
    ///   is full, or the file of the handle was removed, moved or replaced.
    /// - [`Misconfigured`](ErrorKind::Misconfigured): this program may not create a file at the
    ///   path.
    /// - [`Corrupt`](ErrorKind::Corrupt): a page of the database is damaged.
    ///
    /// # Cancellation
    /// If this future is dropped, a copy that has begun is completed, or removed if it fails.
    /// Dropping the last handle waits for the copy. A killed process leaves a partial file.
    pub async fn backup_to(&self, path: impl Into<PathBuf> + Send) -> Result<()> {
        let path: PathBuf = path.into();
        let target = std::path::absolute(&path).map_err(|error| failed(&path, error))?;
        match self.files_to_copy()? {
            Some((config, files)) => self.backups().start(config, files, target).await,
            None => self.write(CopyMemory(target)).await,
        }
    }
}

/// The running backups. Each has a thread of its own because it may take minutes.
#[derive(Debug)]
pub(crate) struct Backups {
    threads: Mutex<Vec<JoinHandle<()>>>,
    process: OwnProcess,
}

impl Backups {
    pub(crate) fn new() -> Self {
        Self { threads: Mutex::default(), process: OwnProcess::current() }
    }

    async fn start(&self, config: SqliteConfig, files: CountedFiles, target: PathBuf) -> Result<()> {
        let (caller, copied) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("queue-sqlite-backup".to_owned())
            .spawn(move || {
                // The future of the caller may be dropped; the copy stays.
                let _ = caller.send(create(&target, || copy_file(&config, &files, &target)));
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, OPERATION, "no thread can be started").with_source(error)
            })?;
        {
            let mut threads = ignore_poison(self.threads.lock());
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        }
        let message = "the backup thread ended before it replied";
        copied.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::UnknownOutcome, OPERATION, message)))
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        let threads = ignore_poison(self.threads.get_mut());
        if !self.process.is_current() {
            // A forked child does not have these threads.
            return std::mem::forget(std::mem::take(threads));
        }
        for thread in threads.drain(..) {
            // A reply may wake a task that holds the last handle and is dropped on this thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn copy_file(config: &SqliteConfig, files: &CountedFiles, target: &Path) -> Result<()> {
    let Some(source) = config.path() else { return Ok(()) };
    let text =
        target.to_str().ok_or_else(|| Error::invalid(OPERATION, "the path of the copy is not UTF-8"))?;
    let copied: Outcome<()> = files.check().map_err(Into::into).and_then(|()| {
        open_copier(config, source, Arc::clone(files.files()))?.execute(VACUUM_INTO, [text])?;
        // If the file was replaced during the copy, the copy is of the wrong file.
        Ok(files.check()?)
    });
    copied.map_err(|fault| fault.into_error(OPERATION, Some(source)))
}

/// Copies a database in memory on its only connection.
struct CopyMemory(PathBuf);

impl Request for CopyMemory {
    type Reply = ();

    const OPERATION: &'static str = OPERATION;

    fn rows(&self) -> usize {
        1
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    fn look(&self, session: &mut Session) -> Outcome<Option<()>> {
        let Self(target) = self;
        let copied = create(target, || {
            let progress = None::<fn(rusqlite::backup::Progress)>;
            let copied: Outcome<()> =
                session.connection.backup(MAIN_DB, target, progress).map_err(Into::into);
            copied.map_err(|fault| fault.into_error(OPERATION, Some(target)))
        });
        Ok(Some(copied?))
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<()> {
        self.look(session).map(|_| ())
    }
}

/// Creates the file, calls `fill`, and syncs it to disk. Removes the file if any of this fails.
fn create(target: &Path, fill: impl FnOnce() -> Result<()>) -> Result<()> {
    for suffix in SUFFIXES {
        let mut beside = OsString::from(target);
        beside.push(suffix);
        let beside = PathBuf::from(beside);
        if std::fs::exists(&beside).map_err(|error| failed(&beside, error))? {
            let message =
                format!("`{}` exists, and SQLite would read it as a part of the copy", beside.display());
            return Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        }
    }
    // One step, so that no file of another program is overwritten.
    OpenOptions::new().write(true).create_new(true).open(target).map_err(|error| failed(target, error))?;
    let filled = fill().and_then(|()| sync(target).map_err(|error| failed(target, error)));
    if filled.is_err()
        && let Err(error) = std::fs::remove_file(target)
    {
        tracing::error!(file = ?target, %error, "an incomplete backup could not be removed; delete this file");
    }
    filled
}

/// `VACUUM INTO` does not sync the file.
fn sync(target: &Path) -> io::Result<()> {
    File::open(target)?.sync_all()?;
    sync_folder(target)
}

/// The name of a new file is on disk only after its folder is synced.
#[cfg(unix)]
fn sync_folder(target: &Path) -> io::Result<()> {
    target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Other systems have no such call; they write names together with the file.
#[cfg(not(unix))]
fn sync_folder(_target: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(target: &Path, error: io::Error) -> Error {
    let target = target.display();
    let (kind, message) = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            (ErrorKind::Conflict, format!("`{target}` exists and is not overwritten"))
        }
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Misconfigured, format!("`{target}`: this program may not create the file: {error}"))
        }
        _ => (ErrorKind::Unavailable, format!("`{target}`: {error}")),
    };
    Error::new(kind, OPERATION, message).with_source(error)
}
