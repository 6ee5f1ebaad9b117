//! The one thread that writes.

pub(crate) mod command;
mod group;
mod log_limit;
mod mailbox;
pub(crate) mod session;
mod thread;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use queue_core::backend::{OwnProcess, WakeHub};
use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use crate::config::SqliteConfig;
use crate::reader::Looks;
use command::{Pending, Request};
use mailbox::Mailbox;
use thread::WriterThread;

/// Looking for other processes' commits more often would only warm the machine.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// The handle of the writing thread, which ends when this is dropped.
pub(crate) struct Writer {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
    process: OwnProcess,
}

impl Writer {
    /// Starts the thread, which opens the file and migrates it.
    pub(crate) async fn start(config: &SqliteConfig, hub: WakeHub, readers: Arc<Looks>) -> Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let (opened, opening) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("queue-sqlite-writer".to_owned())
            .spawn({
                let thread =
                    WriterThread { config: config.clone(), mailbox: Arc::clone(&mailbox), hub, readers };
                move || thread.run(opened)
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "open the database", "no thread can be started")
                    .with_source(error)
            })?;
        // Whoever gives up waiting must not wait for the thread either: it ends by itself.
        let mut writer = Self { mailbox, thread: None, process: OwnProcess::current() };
        opening.await.unwrap_or_else(|_| Err(gone("open the database")))?;
        writer.thread = Some(thread);
        Ok(writer)
    }

    /// Has a request done in the next transaction.
    ///
    /// # Cancellation
    /// Once this was polled, the request is done whole even if the future is dropped.
    pub(crate) async fn call<R: Request>(&self, request: R) -> Result<R::Reply> {
        self.process.check(R::OPERATION)?;
        let (caller, answer) = oneshot::channel();
        let tell = move |reply| {
            // Whoever asked may have gone; what was done stays done.
            let _ = caller.send(reply);
        };
        if let Err(command) = self.mailbox.post(Box::new(Pending::new(request, tell))) {
            command.fail(gone(R::OPERATION));
        }
        answer.await.unwrap_or_else(|_| {
            let message = "the thread that writes has ended before it answered";
            Err(Error::new(ErrorKind::UnknownOutcome, R::OPERATION, message))
        })
    }

    /// Has commits of other processes announced from now on.
    pub(crate) fn watch(&self) {
        if self.process.is_current() {
            self.mailbox.watch();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // A forked child has neither the thread nor, perhaps, the lock that the thread held.
            return std::mem::forget(self.thread.take());
        }
        self.mailbox.close();
        if let Some(thread) = self.thread.take()
            // An answer may wake a task that holds the last handle and is dropped right there.
            && thread.thread().id() != std::thread::current().id()
        {
            // It does not panic; if it did, there is nothing to be done about it here.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

fn gone(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the thread that writes has ended")
}
