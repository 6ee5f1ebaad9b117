//! Telling workers, of this process and of others, that there is something to do.

mod listen;
mod message;
mod notify;

use std::sync::Arc;

use queue_core::JobId;
use queue_core::backend::{Hint, WakeHub};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::positions::Positions;

pub(crate) use listen::{Ears, listen, poll};
pub(crate) use notify::notify;

/// What other processes are to be told.
#[derive(Debug)]
pub(crate) enum Told {
    Ready(Vec<Hint>),
    Cancels(Vec<JobId>),
    /// Anything may be anywhere.
    Unknown,
}

/// What waits to be told.
pub(crate) type News = UnboundedReceiver<Told>;

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

    /// Jobs are ready, or wait for their time. Call it after the commit.
    pub(crate) fn ready(&self, hints: &[Hint]) {
        self.positions.rewind(hints);
        self.hub.announce(hints);
    }

    /// Jobs may have become ready anywhere.
    pub(crate) fn unknown(&self) {
        self.positions.want_head();
        self.hub.announce_unknown();
    }

    pub(crate) fn cancels(&self, jobs: &[JobId]) {
        self.hub.announce_cancels(jobs);
    }
}

/// Tells this process at once, and has the others told.
#[derive(Debug)]
pub(crate) struct Waker {
    local: LocalWaker,
    others: UnboundedSender<Told>,
}

impl Waker {
    pub(crate) fn new(local: LocalWaker) -> (Self, News) {
        let (others, news) = unbounded_channel();
        (Self { local, others }, news)
    }

    /// Jobs are ready, or will be. To be called after the commit.
    pub(crate) fn ready(&self, hints: Vec<Hint>) {
        if !hints.is_empty() {
            self.local.ready(&hints);
            // Nobody takes it while the handle is being closed.
            let _ = self.others.send(Told::Ready(hints));
        }
    }

    /// Something changed that concerns any number of jobs.
    pub(crate) fn unknown(&self) {
        self.local.unknown();
        let _ = self.others.send(Told::Unknown);
    }

    /// Somebody wants these running jobs cancelled.
    pub(crate) fn cancels(&self, jobs: Vec<JobId>) {
        if !jobs.is_empty() {
            self.local.cancels(&jobs);
            let _ = self.others.send(Told::Cancels(jobs));
        }
    }
}
