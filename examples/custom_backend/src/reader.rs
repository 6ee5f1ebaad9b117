//! The reading thread, for requests of operators.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use crate::store::Store;
use crate::tables::Snapshot;
use crate::thread::Thread;

type Read = Box<dyn FnOnce(&Store) + Send>;

/// Sends reads to the thread.
#[derive(Debug)]
pub(crate) struct Reader(Thread<Read>);

impl Reader {
    pub(crate) fn start(store: Arc<Store>) -> Result<Self> {
        let work = move |reads: &Receiver<Read>| reads.iter().for_each(|read| read(&store));
        Thread::start("redb-reader", work).map(Self)
    }

    /// Reads in a snapshot of the last commit.
    pub(crate) async fn read<T, F>(&self, look: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Snapshot) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.send(Box::new(move |store| {
            // Fails if the future was dropped.
            let _ = reply.send(store.read(|database| look(&Snapshot::take(database)?)));
        }))?;
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "read", "the reading thread has ended"))
        })
    }
}
