//! Loses requests and replies.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::wait_for;

/// The lost direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Request,
    Reply,
}

/// A future loss of a request or reply. Dropping this before the request arrives cancels the loss.
#[derive(Debug)]
#[must_use = "only `happened` shows that the loss happened"]
pub struct Loss(oneshot::Receiver<()>);

impl Loss {
    /// Waits until the request or reply is lost and the connection is being closed.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the loss does not happen within this time, or its
    /// connection has ended.
    pub async fn happened(self, within: Duration) -> io::Result<()> {
        wait_for(self.0, within, "lost").await
    }
}

/// A loss that has not happened yet.
#[derive(Debug)]
pub(super) struct PendingLoss {
    pub(super) part: Part,
    lost: oneshot::Sender<()>,
}

impl PendingLoss {
    pub(super) fn notify(self) {
        // Fails if the test has dropped its `Loss`.
        let _ = self.lost.send(());
    }
}

#[derive(Debug)]
struct LossRequest {
    request: Vec<u8>,
    due: PendingLoss,
}

/// The losses whose request has not arrived on any connection.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<Vec<LossRequest>>);

impl Losses {
    pub(super) fn add(&self, part: Part, request: Vec<u8>) -> Loss {
        let (lost, receiver) = oneshot::channel();
        self.lock().push(LossRequest { request, due: PendingLoss { part, lost } });
        Loss(receiver)
    }

    /// Removes and returns the first loss whose request these bytes of a client complete.
    pub(super) fn take_match(&self, sent: &SentTail) -> Option<PendingLoss> {
        let mut wanted = self.lock();
        wanted.retain(|wanted| !wanted.due.lost.is_closed());
        let index = wanted.iter().position(|wanted| sent.completes(&wanted.request))?;
        Some(wanted.remove(index).due)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LossRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last bytes of a client, because a request may arrive in several pieces.
#[derive(Debug, Default)]
pub(super) struct SentTail {
    bytes: Vec<u8>,
    /// Number of bytes that were there before the last `add`.
    old: usize,
}

impl SentTail {
    /// Number of bytes that are kept. A longer request that arrives in pieces may be missed.
    const REMEMBERED: usize = 1024;

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.bytes.len().saturating_sub(Self::REMEMBERED));
        self.old = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the last `add` completed an occurrence of the text.
    fn completes(&self, text: &[u8]) -> bool {
        let start = (self.old + 1).saturating_sub(text.len());
        text.is_empty() || self.bytes[start..].windows(text.len()).any(|window| window == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_split_text_is_found_once() {
        let mut sent = SentTail::default();
        for (bytes, found) in
            [("xab", true), ("c", false), ("a", false), ("b", true), ("b", false), ("ab", true)]
        {
            sent.add(bytes.as_bytes());
            assert_eq!(sent.completes(b"ab"), found, "{bytes}");
        }
        assert!(sent.completes(b""));
    }
}
