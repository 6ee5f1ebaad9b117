//! Telling workers, of this process and of others, that there is something to do.

mod listen;
mod message;
mod notify;

use queue_core::JobId;
use queue_core::backend::{Hint, WakeHub};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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

/// Tells this process at once, and has the others told.
#[derive(Debug)]
pub(crate) struct Waker {
    hub: WakeHub,
    others: UnboundedSender<Told>,
}

impl Waker {
    pub(crate) fn new(hub: WakeHub) -> (Self, News) {
        let (others, news) = unbounded_channel();
        (Self { hub, others }, news)
    }

    /// Jobs are ready, or will be. To be called after the commit.
    pub(crate) fn ready(&self, hints: Vec<Hint>) {
        if !hints.is_empty() {
            self.hub.announce(&hints);
            // Nobody takes it while the handle is being closed.
            let _ = self.others.send(Told::Ready(hints));
        }
    }

    /// Something changed that concerns any number of jobs.
    pub(crate) fn unknown(&self) {
        self.hub.announce_unknown();
        let _ = self.others.send(Told::Unknown);
    }

    /// Somebody wants these running jobs cancelled.
    pub(crate) fn cancels(&self, jobs: Vec<JobId>) {
        if !jobs.is_empty() {
            self.hub.announce_cancels(&jobs);
            let _ = self.others.send(Told::Cancels(jobs));
        }
    }
}
