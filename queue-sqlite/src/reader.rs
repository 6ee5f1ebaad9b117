//! Reading threads, so that reads never wait for the writer and never block a thread of the async
//! runtime.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use queue_core::backend::{OwnProcess, ignore_poison};
use queue_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::config::SqliteConfig;
use crate::connection::open_reader;
use crate::error::Outcome;
use crate::file_connection::FileConnection;
use crate::identity::{FilesLost, OpenFiles};

type Look = Box<dyn FnOnce(Outcome<&mut Connection>) + Send>;

/// The reading threads. They end when this is dropped. Each opens its connection at its first read.
pub(crate) struct Readers {
    looks: Arc<Looks>,
    threads: Vec<JoinHandle<()>>,
    file: PathBuf,
    process: OwnProcess,
}

/// The pending reads, and the number of connected threads.
#[derive(Default)]
pub(crate) struct Looks {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Look>,
    is_closed: bool,
    /// The open files of the writer. A connection to any other files must be closed.
    files: Option<Arc<OpenFiles>>,
    connected: usize,
}

impl Readers {
    pub(crate) fn start(config: &SqliteConfig, file: &Path, looks: Arc<Looks>) -> Result<Self> {
        let mut readers =
            Self { looks, threads: Vec::new(), file: file.to_owned(), process: OwnProcess::current() };
        for _ in 0..config.readers.max(1) {
            let (config, file, looks) = (config.clone(), file.to_owned(), Arc::clone(&readers.looks));
            let thread = thread::Builder::new()
                .name("queue-sqlite-reader".to_owned())
                .spawn(move || run(&config, &file, &looks))
                .map_err(|error| {
                    Error::new(ErrorKind::Unavailable, "open the database", "no thread can be started")
                        .with_source(error)
                })?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// The files that another connection may open now.
    pub(crate) fn connecting(&self) -> Result<CountedFiles> {
        self.looks.connecting()
    }

    /// Reads one snapshot.
    ///
    /// # Cancellation
    /// Dropping this future leaves nothing behind.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.process.check(operation)?;
        let (caller, answer) = oneshot::channel();
        let file = self.file.clone();
        let look: Look = Box::new(move |connection| {
            // The future was dropped, so a long read would be wasted.
            if !caller.is_closed() {
                let result = connection.and_then(|connection| in_snapshot(connection, look));
                let _ = caller.send(result.map_err(|fault| fault.into_error(operation, Some(&file))));
            }
        });
        self.looks.lock().waiting.push_back(look);
        self.looks.changed.notify_all();
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, operation, "the reading thread has ended"))
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // A forked child does not have these threads, and one of them may hold the lock for
            // ever.
            return std::mem::forget(std::mem::take(&mut self.threads));
        }
        self.looks.lock().is_closed = true;
        self.looks.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A reply may wake a task that holds the last handle and is dropped on this thread.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readers({})", self.threads.len())
    }
}

/// Reads one snapshot of a connection.
pub(crate) fn in_snapshot<T>(
    connection: &mut Connection,
    look: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    look(&snapshot)
}

/// The next step of a thread.
enum Next {
    Read(Look),
    Disconnect,
    End,
}

impl Looks {
    /// Allows the threads to connect to the open files of the writer.
    pub(crate) fn connect_to(&self, files: Arc<OpenFiles>) {
        self.lock().files = Some(files);
    }

    /// Whether a reading or copying connection is open.
    pub(crate) fn is_connected(&self) -> bool {
        self.lock().connected > 0
    }

    /// Makes all threads close their connections. Waits for that at most `patience`, because one of
    /// them may be in a long read.
    pub(crate) fn disconnect(&self, patience: Duration) {
        let mut state = self.lock();
        state.files = None;
        self.changed.notify_all();
        let is_connected = |state: &mut State| state.connected > 0;
        drop(self.changed.wait_timeout_while(state, patience, is_connected));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        ignore_poison(self.state.lock())
    }

    /// Waits for the next step. `connected` are the files of the thread's connection, if it has
    /// one.
    fn next(&self, connected: Option<&Arc<OpenFiles>>) -> Next {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return Next::End;
            }
            if let Some(connected) = connected
                && !state.files.as_ref().is_some_and(|files| Arc::ptr_eq(files, connected))
            {
                return Next::Disconnect;
            }
            match state.waiting.pop_front() {
                Some(look) => return Next::Read(look),
                None => state = ignore_poison(self.changed.wait(state)),
            }
        }
    }

    /// Returns the files that a connection may open now. Counts the connection, so that
    /// `disconnect` waits for it.
    fn connecting(self: &Arc<Self>) -> Result<CountedFiles> {
        let mut state = self.lock();
        let Some(files) = state.files.clone() else {
            let message = "its files were removed, moved or replaced, and are not reopened yet";
            return Err(Error::new(ErrorKind::Unavailable, CountedFiles::OPERATION, message));
        };
        state.connected += 1;
        Ok(CountedFiles { looks: Arc::clone(self), files })
    }
}

/// The files of a reading or copying connection, which is counted until this is dropped.
pub(crate) struct CountedFiles {
    looks: Arc<Looks>,
    files: Arc<OpenFiles>,
}

impl CountedFiles {
    const OPERATION: &'static str = "open the database";

    pub(crate) fn files(&self) -> &Arc<OpenFiles> {
        &self.files
    }

    pub(crate) fn check(&self) -> Result<()> {
        let lost = |lost: FilesLost| lost.error(ErrorKind::Unavailable, Self::OPERATION);
        self.files.check().map(|_| ()).map_err(lost)
    }
}

impl Drop for CountedFiles {
    fn drop(&mut self) {
        self.looks.lock().connected -= 1;
        self.looks.changed.notify_all();
    }
}

/// The connection of a thread. Fields are dropped in this order: the connection closes before the
/// count drops.
struct Connected {
    connection: FileConnection,
    files: CountedFiles,
}

impl Connected {
    fn open(config: &SqliteConfig, file: &Path, looks: &Arc<Looks>) -> Outcome<Self> {
        let files = looks.connecting()?;
        files.check()?;
        Ok(Self { connection: open_reader(config, file, Arc::clone(&files.files))?, files })
    }
}

fn run(config: &SqliteConfig, file: &Path, looks: &Arc<Looks>) {
    let mut connected: Option<Connected> = None;
    loop {
        let look = match looks.next(connected.as_ref().map(|connected| &connected.files.files)) {
            Next::Read(look) => look,
            Next::Disconnect => {
                connected = None;
                continue;
            }
            Next::End => return,
        };
        let checked = match connected.take() {
            Some(connected) => connected.files.check().map(|()| connected).map_err(Into::into),
            None => Connected::open(config, file, looks),
        };
        match checked {
            Ok(mut sound) => {
                look(Ok(&mut sound.connection));
                connected = Some(sound);
            }
            Err(fault) => look(Err(fault)),
        }
    }
}
