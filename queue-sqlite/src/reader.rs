//! Threads that read, so that whoever only looks never waits for the writer, and no task's thread is
//! blocked.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use queue_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::config::SqliteConfig;
use crate::connection::open_reader;
use crate::error::Outcome;

type Look = Box<dyn FnOnce(Outcome<&mut Connection>) + Send>;

/// The reading threads, which end when this is dropped. Each opens its connection when it is first
/// needed.
pub(crate) struct Readers {
    waiting: Arc<Waiting>,
    threads: Vec<JoinHandle<()>>,
    file: PathBuf,
}

#[derive(Default)]
struct Waiting {
    looks: Mutex<(VecDeque<Look>, bool)>,
    arrived: Condvar,
}

impl Readers {
    /// Starts the threads.
    pub(crate) fn start(config: &SqliteConfig, file: &Path) -> Result<Self> {
        let mut readers = Self { waiting: Arc::default(), threads: Vec::new(), file: file.to_owned() };
        for _ in 0..config.readers.max(1) {
            let (config, file, waiting) = (config.clone(), file.to_owned(), Arc::clone(&readers.waiting));
            let thread = thread::Builder::new()
                .name("queue-sqlite-reader".to_owned())
                .spawn(move || run(&config, &file, &waiting))
                .map_err(|error| {
                    Error::new(ErrorKind::Unavailable, "open the database", "no thread can be started")
                        .with_source(error)
                })?;
            readers.threads.push(thread);
        }
        Ok(readers)
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
        let (caller, answer) = oneshot::channel();
        let file = self.file.clone();
        let look: Look = Box::new(move |connection| {
            // Nobody waits any more: a look that takes long would be for nothing.
            if !caller.is_closed() {
                let result = connection.and_then(|connection| in_snapshot(connection, look));
                let _ = caller.send(result.map_err(|fault| fault.into_error(operation, Some(&file))));
            }
        });
        self.waiting.lock().0.push_back(look);
        self.waiting.arrived.notify_one();
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, operation, "the thread that reads has ended"))
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.waiting.lock().1 = true;
        self.waiting.arrived.notify_all();
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

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Look>, bool)> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Look> {
        let mut state = self.lock();
        loop {
            if state.1 {
                return None;
            }
            match state.0.pop_front() {
                Some(look) => return Some(look),
                None => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn run(config: &SqliteConfig, file: &Path, waiting: &Waiting) {
    let mut connection = None;
    while let Some(look) = waiting.next() {
        if connection.is_none() {
            match open_reader(config, file) {
                Ok(opened) => connection = Some(opened),
                Err(fault) => {
                    look(Err(fault));
                    continue;
                }
            }
        }
        if let Some(connection) = &mut connection {
            look(Ok(connection));
        }
    }
}
