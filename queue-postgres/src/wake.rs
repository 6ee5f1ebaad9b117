//! Wakes the workers of this process and of other processes.

mod listen;
mod message;
mod notify;

use std::sync::Arc;

use queue_core::JobId;
use queue_core::backend::{Hint, WakeHints, WakeHub};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::positions::Positions;

pub(crate) use listen::{ListenerConfig, listen, poll};
pub(crate) use notify::notify;

/// Hints that are not yet sent to other processes.
pub(crate) type Unsent = UnboundedReceiver<WakeHints>;

/// Wakes the workers of this process. First moves their positions back, so that the claim of a
/// woken worker finds the job.
#[derive(Debug, Clone)]
pub(crate) struct LocalWaker {
    hub: WakeHub,
    positions: Arc<Positions>,
}

impl LocalWaker {
    pub(crate) const fn new(hub: WakeHub, positions: Arc<Positions>) -> Self {
        Self { hub, positions }
    }

    /// Must be called after the commit.
    pub(crate) fn wake(&self, hints: &WakeHints) {
        self.positions.rewind(hints);
        self.hub.announce_all(hints);
    }

    /// Wakes all workers, because any job may have become ready.
    pub(crate) fn unknown(&self) {
        self.wake(&any_job_ready());
    }

    pub(crate) fn cancels(&self, jobs: &[JobId]) {
        self.hub.announce_cancels(jobs);
    }
}

/// Wakes this process at once and queues the notification of other processes.
#[derive(Debug)]
pub(crate) struct Waker {
    local: LocalWaker,
    unsent: UnboundedSender<WakeHints>,
}

impl Waker {
    pub(crate) fn new(local: LocalWaker) -> (Self, Unsent) {
        let (sender, unsent) = unbounded_channel();
        (Self { local, unsent: sender }, unsent)
    }

    /// Must be called after the commit.
    pub(crate) fn wake(&self, hints: WakeHints) {
        if !hints.is_empty() {
            self.local.wake(&hints);
            // The receiver is dropped while the handle closes.
            let _ = self.unsent.send(hints);
        }
    }

    pub(crate) fn ready(&self, hints: Vec<Hint>) {
        self.wake(hints.into_iter().collect());
    }

    /// Wakes all workers, because the change may concern any job.
    pub(crate) fn unknown(&self) {
        self.wake(any_job_ready());
    }
}

fn any_job_ready() -> WakeHints {
    let mut hints = WakeHints::new();
    hints.add_unknown();
    hints
}
