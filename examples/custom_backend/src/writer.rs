//! The one thread that writes: whatever waits for it shares a transaction and a commit.
//!
//! Requests enter in the order in which they were made. One whose future is dropped still takes effect,
//! whole, before those that were made later.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use queue_core::backend::{WakeHints, WakeHub};
use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use crate::error::{self, Doing as _};
use crate::store::Store;
use crate::tables::Tables;
use crate::thread::Thread;

/// The most requests of one transaction, so that the first of them does not wait for ever.
const MOST_TOGETHER: usize = 256;

/// Sends requests to the thread.
#[derive(Debug)]
pub(crate) struct Writer(Thread<Box<dyn Request>>);

impl Writer {
    pub(crate) fn start(store: Arc<Store>, hub: WakeHub) -> Result<Self> {
        let work = move |requests: &Receiver<Box<dyn Request>>| {
            while let Ok(first) = requests.recv() {
                let mut group = vec![first];
                group.extend(requests.try_iter().take(MOST_TOGETHER - 1));
                serve(&store, &hub, group);
            }
        };
        Thread::start("redb-writer", work).map(Self)
    }

    /// Has `change` done in a transaction, and answers once that is on the disk. It may be done again,
    /// in another transaction, if the first one fails.
    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tables<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { change, outcome: None, hints: WakeHints::new(), reply };
        self.0.send(Box::new(pending))?;
        answer.await.unwrap_or_else(|_| {
            let message = "the thread that writes has ended without an answer";
            Err(Error::new(ErrorKind::UnknownOutcome, "write", message))
        })
    }
}

/// A request that waits for the thread.
trait Request: Send {
    /// Does it. An error means that it left something half done, which must not be committed.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<()>;

    /// Answers its caller, and wakes workers.
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
        self.outcome = Some(tables.apart(&mut self.change)?);
        self.hints = std::mem::take(&mut tables.hints);
        Ok(())
    }

    fn answer(self: Box<Self>, commit: std::result::Result<(), &Error>, hub: &WakeHub) {
        let outcome = match (commit, self.outcome) {
            (Err(error), _) => Err(error::copy(error)),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Error::new(ErrorKind::Unavailable, "write", "it was not done")),
        };
        if outcome.is_ok() {
            hub.announce_all(&self.hints);
        }
        // Nobody waits if the future was dropped.
        let _ = self.reply.send(outcome);
    }
}

/// Serves a group in one transaction; if that fails, each of it in a transaction of its own.
fn serve(store: &Store, hub: &WakeHub, mut group: Vec<Box<dyn Request>>) {
    match commit_together(store, &mut group) {
        Err(error) if error.kind() != ErrorKind::UnknownOutcome && group.len() > 1 => {
            for request in group {
                serve(store, hub, vec![request]);
            }
        }
        fate => {
            for request in group {
                request.answer(fate.as_ref().map(|&()| ()), hub);
            }
        }
    }
}

fn commit_together(store: &Store, group: &mut [Box<dyn Request>]) -> Result<()> {
    store.with(|database| {
        let transaction = database.begin_write().doing("begin to write")?;
        let mut tables = Tables::open(&transaction)?;
        for request in group {
            request.run(&mut tables)?;
        }
        let is_changed = tables.changes() > 0;
        drop(tables);
        // What changed nothing is not worth a wait for the disk.
        if is_changed { error::commit(transaction) } else { transaction.abort().doing("end a transaction") }
    })
}
