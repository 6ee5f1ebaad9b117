//! Telling workers, of this process and of others, that there is something to do.

mod listen;
mod message;
mod notify;

use std::sync::Arc;

use queue_core::JobId;
use queue_core::backend::{Hint, WakeHints, WakeHub};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::positions::Positions;

pub(crate) use listen::{Ears, listen, poll};
pub(crate) use notify::notify;

/// The hints that other processes have to be notified of.
pub(crate) type Unsent = UnboundedReceiver<WakeHints>;

/// Wakes the workers of this process. Before that it moves their positions back, so that the claim
/// of a worker that was woken finds the job.
#[derive(Debug, Clone)]
pub(crate) struct LocalWaker {
    hub: WakeHub,
    positions: Arc<Positions>,
}

impl LocalWaker {
    pub(crate) const fn new(hub: WakeHub, positions: Arc<Positions>) -> Self {
        Self { hub, positions }
    }

    /// Call it after the commit.
    pub(crate) fn wake(&self, hints: &WakeHints) {
        self.positions.rewind(hints);
        self.hub.announce_all(hints);
    }

    /// Jobs may have become ready anywhere.
    pub(crate) fn unknown(&self) {
        let mut hints = WakeHints::new();
        hints.add_unknown();
        self.wake(&hints);
    }

    pub(crate) fn cancels(&self, jobs: &[JobId]) {
        self.hub.announce_cancels(jobs);
    }
}

/// Wakes this process at once, and has other processes notified.
#[derive(Debug)]
pub(crate) struct Waker {
    local: LocalWaker,
    others: UnboundedSender<WakeHints>,
}

impl Waker {
    pub(crate) fn new(local: LocalWaker) -> (Self, Unsent) {
        let (others, unsent) = unbounded_channel();
        (Self { local, others }, unsent)
    }

    /// To be called after the commit.
    pub(crate) fn wake(&self, hints: WakeHints) {
        if !hints.is_empty() {
            self.local.wake(&hints);
            // The receiver is gone while the handle is being closed.
            let _ = self.others.send(hints);
        }
    }

    pub(crate) fn ready(&self, hints: Vec<Hint>) {
        self.wake(hints.into_iter().collect());
    }

    /// A change concerns any number of jobs.
    pub(crate) fn unknown(&self) {
        let mut hints = WakeHints::new();
        hints.add_unknown();
        self.wake(hints);
    }

    /// These running jobs should be cancelled.
    pub(crate) fn cancels(&self, jobs: impl IntoIterator<Item = JobId>) {
        let mut hints = WakeHints::new();
        jobs.into_iter().for_each(|job| hints.add_cancel(job));
        self.wake(hints);
    }
}
