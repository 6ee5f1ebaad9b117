//! Threads that may block, so that the tasks of the caller's runtime never do.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// A thread that works on what it is sent, in that order. Dropping it waits until all of it is done.
pub(crate) struct Thread<M> {
    sender: Option<Sender<M>>,
    handle: Option<JoinHandle<()>>,
}

impl<M: Send + 'static> Thread<M> {
    /// Starts it; `work` ends when the receiver does.
    pub(crate) fn start(name: &str, work: impl FnOnce(&Receiver<M>) + Send + 'static) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&receiver));
        let handle = thread.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "start a thread", error.to_string()).with_source(error)
        })?;
        Ok(Self { sender: Some(sender), handle: Some(handle) })
    }

    /// Sends something to do. From then on it is done, whether or not anybody waits for it.
    pub(crate) fn send(&self, message: M) -> Result<()> {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(message).is_ok());
        let gone = || Error::new(ErrorKind::Unavailable, "ask the storage's thread", "it has ended");
        sent.then_some(()).ok_or_else(gone)
    }
}

impl<M> fmt::Debug for Thread<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread")
    }
}

impl<M> Drop for Thread<M> {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(handle) = self.handle.take() {
            // A panic there was told to whoever waited for an answer.
            let _ = handle.join();
        }
    }
}

/// Runs something that blocks on a thread of its own.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    // Kept until the answer is there: dropped, it would wait for the thread.
    let thread: Thread<()> = Thread::start("redb-open", move |_| {
        // Nobody waits if the future was dropped.
        let _ = reply.send(work());
    })?;
    let outcome = answer.await;
    drop(thread);
    outcome
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "open the file", "the thread has ended")))
}
