//! Threads for blocking work, so that the tasks of the caller's runtime do not block.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// A thread that handles messages in their order. Dropping it waits until all messages are handled.
pub(crate) struct Thread<M> {
    sender: Option<Sender<M>>,
    handle: Option<JoinHandle<()>>,
}

impl<M: Send + 'static> Thread<M> {
    /// Starts the thread. `work` must return when the receiver is closed.
    pub(crate) fn start(name: &str, work: impl FnOnce(&Receiver<M>) + Send + 'static) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&receiver));
        let handle = thread.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "start a thread", error.to_string()).with_source(error)
        })?;
        Ok(Self { sender: Some(sender), handle: Some(handle) })
    }

    /// Sends a message. The thread handles it even if the caller's future is dropped.
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
            // A panic is ignored here, because its caller already received an error.
            let _ = handle.join();
        }
    }
}

/// Runs a blocking function on a new thread.
pub(crate) async fn run_on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    // Kept until the result is there, because its drop waits for the thread.
    let thread: Thread<()> = Thread::start("redb-open", move |_| {
        // Fails if the future was dropped.
        let _ = reply.send(work());
    })?;
    let outcome = answer.await;
    drop(thread);
    outcome
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "open the file", "the thread has ended")))
}
