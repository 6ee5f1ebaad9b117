//! The worker's registration on one backend.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};

use crate::WorkerId;

/// The id under which the worker is registered, if it is.
///
/// The heartbeat loop registers; the other loops of the backend read the id or wait for one.
#[derive(Debug)]
pub(crate) struct Membership {
    id: watch::Sender<Option<WorkerId>>,
    loss: Notify,
    may_rescue: AtomicBool,
}

impl Membership {
    pub(crate) fn new() -> Self {
        Self { id: watch::Sender::new(None), loss: Notify::new(), may_rescue: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> Option<WorkerId> {
        *self.id.borrow()
    }

    pub(crate) fn set_id(&self, id: Option<WorkerId>) {
        self.id.send_replace(id);
    }

    /// Waits until the worker is registered.
    pub(crate) async fn registered(&self) -> WorkerId {
        let mut id = self.id.subscribe();
        loop {
            if let Some(id) = *id.borrow_and_update() {
                return id;
            }
            // Cannot fail, because the sender lives as long as `self`.
            let _ = id.changed().await;
        }
    }

    /// Has the heartbeat loop send a heartbeat at once, because the storage called the worker lost.
    pub(crate) fn report_loss(&self) {
        self.loss.notify_one();
    }

    /// Waits until a loop reports a loss.
    pub(crate) async fn loss_reported(&self) {
        self.loss.notified().await;
    }

    /// Whether the worker's own heartbeats are in time, so that it may judge other workers.
    pub(crate) fn may_rescue(&self) -> bool {
        self.may_rescue.load(Ordering::SeqCst)
    }

    pub(crate) fn set_may_rescue(&self, may_rescue: bool) {
        self.may_rescue.store(may_rescue, Ordering::SeqCst);
    }
}
