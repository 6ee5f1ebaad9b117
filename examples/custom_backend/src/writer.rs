//! The writing thread. Waiting requests share a transaction and a commit.
//!
//! Requests take effect in the order in which they were sent. A request whose future is dropped
//! still takes effect completely, before later requests.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use queue_core::backend::{DroppedRequests, WakeHints, WakeHub};
use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use crate::error::{self, Doing as _};
use crate::store::Store;
use crate::tables::{Tables, last_commit};
use crate::thread::Thread;

/// The maximum number of requests per transaction, so that the wait of the first request is
/// limited.
const MAX_GROUP: usize = 256;

/// Sends requests to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: Thread<Box<dyn Request>>,
    dropped: DroppedRequests,
}

impl Writer {
    pub(crate) fn start(store: Arc<Store>, hub: WakeHub) -> Result<Self> {
        let work = move |requests: &Receiver<Box<dyn Request>>| {
            while let Ok(first) = requests.recv() {
                let mut group = vec![first];
                group.extend(requests.try_iter().take(MAX_GROUP - 1));
                serve(&store, &hub, group);
            }
        };
        let thread = Thread::start("redb-writer", work)?;
        Ok(Self { thread, dropped: DroppedRequests::default() })
    }

    /// Runs `change` in a transaction, and returns after its commit is on disk. If the transaction
    /// fails, `change` may run again in another transaction.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tables<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { change, outcome: None, hints: WakeHints::new(), reply };
        self.thread.send(Box::new(pending))?;
        self.dropped.count_if_dropped(answer).await.unwrap_or_else(|_| {
            let message = "the writing thread ended without a result";
            Err(Error::new(ErrorKind::UnknownOutcome, "write", message))
        })
    }

    /// Waits until requests whose futures were dropped have finished, so that a read sees them.
    pub(crate) async fn dropped_requests_ended(&self) {
        // Ignored, because requests end in order also if they fail.
        self.dropped.wait(async || drop(self.write(|_| Ok(())).await)).await;
    }
}

/// A request that waits for the writing thread.
trait Request: Send {
    /// Runs the request. An error means that its changes are incomplete and must not be committed.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<()>;

    /// Returns the result to the caller, and wakes workers.
    fn answer(self: Box<Self>, commit: std::result::Result<(), &Error>, hub: &WakeHub);
}

struct Pending<T, F> {
    change: F,
    outcome: Option<Result<T>>,
    hints: WakeHints,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Request for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Tables<'_>) -> Result<T> + Send,
{
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<()> {
        self.outcome = Some(tables.try_part(&mut self.change)?);
        self.hints = std::mem::take(&mut tables.hints);
        Ok(())
    }

    fn answer(self: Box<Self>, commit: std::result::Result<(), &Error>, hub: &WakeHub) {
        let outcome = match (commit, self.outcome) {
            (Err(error), _) => Err(error::copy(error)),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Error::new(ErrorKind::Unavailable, "write", "the request was not run")),
        };
        if outcome.is_ok() {
            hub.announce_all(&self.hints);
        }
        // Fails if the future was dropped.
        let _ = self.reply.send(outcome);
    }
}

/// Runs a group in one transaction. If that fails, runs each request in its own transaction.
fn serve(store: &Store, hub: &WakeHub, mut group: Vec<Box<dyn Request>>) {
    match commit_group(store, &mut group) {
        Err(error) if error.kind() != ErrorKind::UnknownOutcome && group.len() > 1 => {
            for request in group {
                serve(store, hub, vec![request]);
            }
        }
        commit => {
            for request in group {
                request.answer(commit.as_ref().map(|&()| ()), hub);
            }
        }
    }
}

fn commit_group(store: &Store, group: &mut [Box<dyn Request>]) -> Result<()> {
    let mut number = 0;
    let committed = store.with(|database| {
        let transaction = database.begin_write().doing("begin to write")?;
        let mut tables = Tables::open(&transaction)?;
        for request in group {
            request.run(&mut tables)?;
        }
        if tables.changes() == 0 {
            drop(tables);
            // Without changes there is no commit, because it would wait for the disk.
            return transaction.abort().doing("end a transaction");
        }
        number = tables.number_commit()?;
        drop(tables);
        error::commit(transaction)
    });
    committed.map_err(|error| look_for_commit(store, number, error))
}

/// Decides whether a commit of unknown outcome happened, if the file can be reopened and does not
/// have it. If the file has it, the outcome stays unknown, because a failed sync may have lost it.
fn look_for_commit(store: &Store, number: u64, error: Error) -> Error {
    let is_unknown = error.kind() == ErrorKind::UnknownOutcome;
    let is_absent = || store.with(last_commit).is_ok_and(|last| last < number);
    if is_unknown && is_absent() { error::unavailable(error) } else { error }
}
