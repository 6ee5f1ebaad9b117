//! Threads that read, so that whoever only looks never waits for the writer, and no task's thread is
//! blocked.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use queue_core::backend::OwnProcess;
use queue_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::config::SqliteConfig;
use crate::connection::open_reader;
use crate::error::Outcome;
use crate::file_connection::FileConnection;
use crate::identity::OpenFiles;

type Look = Box<dyn FnOnce(Outcome<&mut Connection>) + Send>;

/// The reading threads, which end when this is dropped. Each opens its connection when it is first
/// needed.
pub(crate) struct Readers {
    looks: Arc<Looks>,
    threads: Vec<JoinHandle<()>>,
    file: PathBuf,
    process: OwnProcess,
}

/// What the threads have to read, and which of them are connected.
#[derive(Default)]
pub(crate) struct Looks {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Look>,
    is_closed: bool,
    /// The files that the writer has open. A connection to others must be closed.
    files: Option<Arc<OpenFiles>>,
    connected: usize,
}

impl Readers {
    /// Starts the threads.
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

    /// The files that the writer has open; `None` while they are lost.
    pub(crate) fn files(&self) -> Option<Arc<OpenFiles>> {
        self.looks.files()
    }

    /// Reads within one snapshot.
    ///
    /// # Cancellation
    /// Nothing is left behind when this future is dropped.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.process.check(operation)?;
        let (caller, answer) = oneshot::channel();
        let file = self.file.clone();
        let look: Look = Box::new(move |connection| {
            // Nobody waits any more: a look that takes long would be for nothing.
            if !caller.is_closed() {
                let result = connection.and_then(|connection| in_snapshot(connection, look));
                let _ = caller.send(result.map_err(|fault| fault.into_error(operation, Some(&file))));
            }
        });
        self.looks.lock().waiting.push_back(look);
        self.looks.changed.notify_all();
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, operation, "the thread that reads has ended"))
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // A forked child has neither the threads nor, perhaps, the lock that one of them held.
            return std::mem::forget(std::mem::take(&mut self.threads));
        }
        self.looks.lock().is_closed = true;
        self.looks.changed.notify_all();
        for thread in self.threads.drain(..) {
            // An answer may wake a task that holds the last handle and is dropped right there.
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

/// Reads within one snapshot of a connection.
pub(crate) fn in_snapshot<T>(
    connection: &mut Connection,
    look: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    look(&snapshot)
}

/// What a thread has to do next.
enum Next {
    Read(Look),
    /// Close the connection.
    Disconnect,
    End,
}

impl Looks {
    /// Lets the threads connect to the files that the writer has open.
    pub(crate) fn connect_to(&self, files: Arc<OpenFiles>) {
        self.lock().files = Some(files);
    }

    /// The files that the writer has open.
    pub(crate) fn files(&self) -> Option<Arc<OpenFiles>> {
        self.lock().files.clone()
    }

    /// Has all threads close their connections. Waits until they have, though no longer than
    /// `patience`: one may be in the middle of a long read.
    pub(crate) fn disconnect(&self, patience: Duration) {
        let mut state = self.lock();
        state.files = None;
        self.changed.notify_all();
        let is_connected = |state: &mut State| state.connected > 0;
        drop(self.changed.wait_timeout_while(state, patience, is_connected));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next thing to do. `connected` are the files of the thread's connection, if it
    /// has one.
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
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Counts a connection that is about to be opened, so that a disconnect waits for it; returns
    /// the files that it is to open.
    fn connecting(&self) -> Option<Arc<OpenFiles>> {
        let mut state = self.lock();
        state.connected += 1;
        state.files.clone()
    }

    fn disconnected(&self) {
        self.lock().connected -= 1;
        self.changed.notify_all();
    }
}

/// The connection of a thread, to the files that the writer has open.
struct Connected<'a> {
    looks: &'a Looks,
    files: Option<Arc<OpenFiles>>,
    connection: Option<FileConnection>,
}

impl<'a> Connected<'a> {
    fn open(config: &SqliteConfig, file: &Path, looks: &'a Looks) -> Outcome<Self> {
        let mut this = Self { looks, files: looks.connecting(), connection: None };
        this.check()?;
        if let Some(files) = &this.files {
            this.connection = Some(open_reader(config, file, Arc::clone(files))?);
        }
        Ok(this)
    }

    /// Fails unless the files are at their paths.
    fn check(&self) -> Outcome<()> {
        const OPERATION: &str = "open the database";
        match &self.files {
            Some(files) => {
                files.check().map_err(|lost| lost.error(ErrorKind::Unavailable, OPERATION))?;
                Ok(())
            }
            None => {
                let message = "its files were removed, moved or replaced, and are not opened anew yet";
                Err(Error::new(ErrorKind::Unavailable, OPERATION, message).into())
            }
        }
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.connection = None;
        self.looks.disconnected();
    }
}

fn run(config: &SqliteConfig, file: &Path, looks: &Looks) {
    let mut connected: Option<Connected<'_>> = None;
    loop {
        let look = match looks.next(connected.as_ref().and_then(|connected| connected.files.as_ref())) {
            Next::Read(look) => look,
            Next::Disconnect => {
                connected = None;
                continue;
            }
            Next::End => return,
        };
        let checked = match connected.take() {
            Some(connected) => connected.check().map(|()| connected),
            None => Connected::open(config, file, looks),
        };
        match checked {
            Ok(mut sound) => {
                if let Some(connection) = &mut sound.connection {
                    look(Ok(connection));
                }
                connected = Some(sound);
            }
            Err(fault) => look(Err(fault)),
        }
    }
}
