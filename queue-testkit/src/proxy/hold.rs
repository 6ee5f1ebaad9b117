//! Ends of replies that are to be held.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::told;

/// The end of a reply that is going to be held, for a test to wait for. Dropped before its mark was seen, nothing is held.
#[derive(Debug)]
#[must_use = "only waiting for it shows that something is held"]
pub struct Hold(oneshot::Receiver<Held>);

impl Hold {
    /// Waits until the mark came; what stands before it is passed on.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if that does not happen within this time.
    pub async fn began(self, within: Duration) -> io::Result<Held> {
        told(self.0, within, "held").await
    }
}

/// The end of a reply that is held. Dropped, it is let go.
#[derive(Debug)]
#[must_use = "dropped, it is let go"]
pub struct Held {
    release: oneshot::Sender<()>,
    passed: oneshot::Receiver<()>,
}

impl Held {
    /// Lets it go, and returns once it is passed on, or its connection has ended.
    pub async fn let_go(self) {
        drop(self.release);
        // Never told anything: it is dropped when all is written.
        let _ = self.passed.await;
    }
}

/// A hold that has found its connection.
#[derive(Debug)]
pub(super) struct Due(oneshot::Sender<Held>);

/// To be dropped when what was held is passed on.
#[derive(Debug)]
pub(super) struct Passing {
    _passed: oneshot::Sender<()>,
}

impl Due {
    /// Returns when it is let go.
    pub(super) async fn hold(self) -> Passing {
        let ((release, released), (passing, passed)) = (oneshot::channel(), oneshot::channel());
        // The test may not wait for it any more: then it is let go at once.
        drop(self.0.send(Held { release, passed }));
        // Never told anything: it is dropped to let go.
        let _ = released.await;
        Passing { _passed: passing }
    }
}

#[derive(Debug)]
struct Wanted {
    mark: Vec<u8>,
    due: Due,
}

/// All holds that have not found their connection.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<Vec<Wanted>>);

impl Holds {
    pub(super) fn add(&self, mark: Vec<u8>) -> Hold {
        let (tell, began) = oneshot::channel();
        self.lock().push(Wanted { mark, due: Due(tell) });
        Hold(began)
    }

    /// The first whose mark stands in what a server just sent, and where.
    pub(super) fn meant_by(&self, sent: &[u8]) -> Option<(usize, Due)> {
        let mut wanted = self.lock();
        wanted.retain(|wanted| !wanted.due.0.is_closed());
        let found = |(place, wanted): (usize, &Wanted)| Some((place, start(&wanted.mark, sent)?));
        let (place, start) = wanted.iter().enumerate().find_map(found)?;
        Some((start, wanted.remove(place).due))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Wanted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the mark starts.
fn start(mark: &[u8], sent: &[u8]) -> Option<usize> {
    if mark.is_empty() { Some(0) } else { sent.windows(mark.len()).position(|window| window == mark) }
}
