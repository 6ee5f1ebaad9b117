//! Requests and replies that are to be lost.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::told;

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Request,
    Reply,
}

/// Something that is going to be lost, for a test to wait for. Dropped before its request was seen, nothing is lost.
#[derive(Debug)]
#[must_use = "only waiting for it shows that the loss happened"]
pub struct Loss(oneshot::Receiver<()>);

impl Loss {
    /// Waits until it is lost, and the connection is being closed.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if that does not happen within this time, or cannot happen any more.
    pub async fn happened(self, within: Duration) -> io::Result<()> {
        told(self.0, within, "lost").await
    }
}

/// A loss that has found its connection.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) part: Part,
    tell: oneshot::Sender<()>,
}

impl Due {
    pub(super) fn happens(self) {
        // The test may not care.
        let _ = self.tell.send(());
    }
}

#[derive(Debug)]
struct Wanted {
    request: Vec<u8>,
    due: Due,
}

/// All losses that have not found their connection.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<Vec<Wanted>>);

impl Losses {
    pub(super) fn add(&self, part: Part, request: Vec<u8>) -> Loss {
        let (tell, told) = oneshot::channel();
        self.lock().push(Wanted { request, due: Due { part, tell } });
        Loss(told)
    }

    /// The first that is meant by what a client just sent.
    pub(super) fn meant_by(&self, sent: &Sent) -> Option<Due> {
        let mut wanted = self.lock();
        wanted.retain(|wanted| !wanted.due.tell.is_closed());
        let place = wanted.iter().position(|wanted| sent.holds(&wanted.request))?;
        Some(wanted.remove(place).due)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Wanted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of what a client has sent: what is looked for may arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Sent {
    bytes: Vec<u8>,
    /// How many of them were there before.
    old: usize,
}

impl Sent {
    /// A longer text that arrives in pieces may be missed.
    const REMEMBERED: usize = 1024;

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.bytes.len().saturating_sub(Self::REMEMBERED));
        self.old = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the text stands in it, and was not complete before.
    fn holds(&self, text: &[u8]) -> bool {
        let start = (self.old + 1).saturating_sub(text.len());
        text.is_empty() || self.bytes[start..].windows(text.len()).any(|window| window == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_once_whole_or_in_pieces() {
        let mut sent = Sent::default();
        for (bytes, found) in
            [("xab", true), ("c", false), ("a", false), ("b", true), ("b", false), ("ab", true)]
        {
            sent.add(bytes.as_bytes());
            assert_eq!(sent.holds(b"ab"), found, "{bytes}");
        }
        assert!(sent.holds(b""));
    }
}
