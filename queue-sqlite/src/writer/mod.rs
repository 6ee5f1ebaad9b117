//! The writing thread and its handle.

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

use queue_core::backend::{DroppedRequests, OwnProcess, WakeHub};
use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use crate::config::SqliteConfig;
use crate::reader::Looks;
use command::{Pending, Request};
use mailbox::Mailbox;
use thread::WriterThread;

/// Minimum interval between two checks for commits of other processes. Checking more often would
/// only waste processor time.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// The handle of the writing thread. The thread ends when this is dropped.
pub(crate) struct Writer {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
    process: OwnProcess,
    dropped: DroppedRequests,
}

impl Writer {
    /// Starts the thread, which opens and migrates the file.
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
        // If this future is dropped, the drop must not wait for the thread. The thread ends on its
        // own.
        let (process, dropped) = (OwnProcess::current(), DroppedRequests::default());
        let mut writer = Self { mailbox, thread: None, process, dropped };
        opening.await.unwrap_or_else(|_| Err(thread_ended("open the database")))?;
        writer.thread = Some(thread);
        Ok(writer)
    }

    /// Sends a request to the writer and waits for its reply.
    ///
    /// # Cancellation
    /// After the first poll the request is served even if the future is dropped.
    pub(crate) async fn call<R: Request>(&self, request: R) -> Result<R::Reply> {
        self.process.check(R::OPERATION)?;
        let (caller, answer) = oneshot::channel();
        let send = move |reply| {
            // The future of the caller may be dropped; the request still took effect.
            let _ = caller.send(reply);
        };
        if let Err(command) = self.mailbox.post(Box::new(Pending::new(request, send))) {
            command.fail(thread_ended(R::OPERATION));
        }
        self.dropped.count_if_dropped(answer).await.unwrap_or_else(|_| {
            let message = "the writing thread ended before it replied";
            Err(Error::new(ErrorKind::UnknownOutcome, R::OPERATION, message))
        })
    }

    /// Waits until requests whose futures were dropped have finished, because the contract says
    /// that later requests on this handle see their effects. `last` is served after them.
    pub(crate) async fn dropped_requests_ended(&self, last: impl Request) {
        // Ignored, because requests end in order also if they fail.
        self.dropped.wait(async || drop(self.call(last).await)).await;
    }

    /// Starts announcing commits of other processes.
    pub(crate) fn watch(&self) {
        if self.process.is_current() {
            self.mailbox.watch();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // A forked child does not have this thread, and the thread may hold the lock for ever.
            return std::mem::forget(self.thread.take());
        }
        self.mailbox.close();
        if let Some(thread) = self.thread.take()
            // A reply may wake a task that holds the last handle and is dropped on this thread.
            && thread.thread().id() != std::thread::current().id()
        {
            // It never panics.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

fn thread_ended(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the writing thread has ended")
}
