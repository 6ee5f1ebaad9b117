//! Holds the ends of replies.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::wait_for;

/// A future hold of the end of a reply. Dropping this before the mark arrives cancels the hold.
#[derive(Debug)]
#[must_use = "only `began` shows that a reply is held"]
pub struct Hold(oneshot::Receiver<Held>);

impl Hold {
    /// Waits until the mark arrives. The bytes before it are passed on.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the mark does not arrive within this time.
    pub async fn began(self, within: Duration) -> io::Result<Held> {
        wait_for(self.0, within, "held").await
    }
}

/// The held end of a reply. Dropping this passes it on.
#[derive(Debug)]
#[must_use = "dropping it passes the reply on"]
pub struct Held {
    release: oneshot::Sender<()>,
    passed: oneshot::Receiver<()>,
}

impl Held {
    /// Passes the held bytes on. Returns when they are written or the connection has ended.
    pub async fn let_go(self) {
        drop(self.release);
        // Nothing is ever sent: the sender is dropped when the bytes are written.
        let _ = self.passed.await;
    }
}

/// A hold whose reply has arrived or is awaited.
#[derive(Debug)]
pub(super) struct PendingHold(oneshot::Sender<Held>);

/// Must be dropped when the held bytes are written.
#[derive(Debug)]
pub(super) struct Passing {
    _passed: oneshot::Sender<()>,
}

impl PendingHold {
    /// Waits until the test passes the bytes on.
    pub(super) async fn hold(self) -> Passing {
        let ((release, released), (passing, passed)) = (oneshot::channel(), oneshot::channel());
        // If the test no longer waits, the handle is dropped here, which passes the bytes on.
        drop(self.0.send(Held { release, passed }));
        // Nothing is ever sent: the sender is dropped to pass the bytes on.
        let _ = released.await;
        Passing { _passed: passing }
    }
}

#[derive(Debug)]
struct HoldRequest {
    mark: Vec<u8>,
    due: PendingHold,
}

/// The holds whose mark has not arrived on any connection.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<Vec<HoldRequest>>);

impl Holds {
    pub(super) fn add(&self, mark: Vec<u8>) -> Hold {
        let (sender, began) = oneshot::channel();
        self.lock().push(HoldRequest { mark, due: PendingHold(sender) });
        Hold(began)
    }

    /// Removes the first hold whose mark is in these bytes of a server. Returns it with the
    /// position of the mark.
    pub(super) fn take_match(&self, sent: &[u8]) -> Option<(usize, PendingHold)> {
        let mut wanted = self.lock();
        wanted.retain(|wanted| !wanted.due.0.is_closed());
        let found = |(index, wanted): (usize, &HoldRequest)| Some((index, start(&wanted.mark, sent)?));
        let (index, start) = wanted.iter().enumerate().find_map(found)?;
        Some((start, wanted.remove(index).due))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<HoldRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the position of the mark.
fn start(mark: &[u8], sent: &[u8]) -> Option<usize> {
    if mark.is_empty() { Some(0) } else { sent.windows(mark.len()).position(|window| window == mark) }
}
