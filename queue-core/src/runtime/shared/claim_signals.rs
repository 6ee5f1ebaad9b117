//! The signals that the other loops send to the claim loop of one backend.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::poison::ignore_poison;

/// A change that the planner of a claim loop must learn of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanChange {
    /// A waiting job is due after this long.
    DueIn(Duration),
    /// Jobs may have become ready anywhere.
    LookEverywhere,
}

/// Signals to one claim loop, and what the loop shows of itself.
#[derive(Debug)]
pub(crate) struct ClaimSignals {
    retry: Notify,
    settles_fail: AtomicBool,
    is_claiming: AtomicBool,
    changes: mpsc::UnboundedSender<PlanChange>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<PlanChange>>>,
}

impl ClaimSignals {
    pub(crate) fn new() -> Self {
        let (changes, receiver) = mpsc::unbounded_channel();
        Self {
            retry: Notify::new(),
            settles_fail: AtomicBool::new(false),
            is_claiming: AtomicBool::new(false),
            changes,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    /// Has the loop check again whether it may claim: there is room, or the registration changed.
    pub(crate) fn check_again(&self) {
        self.retry.notify_one();
    }

    /// Waits until the loop must check again.
    pub(crate) async fn must_check_again(&self) {
        self.retry.notified().await;
    }

    /// Notifies the planner of a change.
    pub(crate) fn change_plan(&self, change: PlanChange) {
        // Fails once the claim loop has ended, and then nothing is left to plan.
        let _ = self.changes.send(change);
    }

    /// The receiver of changes. Only the first call returns it, for the one claim loop.
    pub(crate) fn take_receiver(&self) -> Option<mpsc::UnboundedReceiver<PlanChange>> {
        ignore_poison(self.receiver.lock()).take()
    }

    /// Stops claims, because the storage does not settle: otherwise the worker would run jobs whose
    /// outcomes it cannot store.
    pub(crate) fn begin_settle_outage(&self) {
        self.settles_fail.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end_settle_outage(&self) {
        if self.settles_fail.swap(false, Ordering::SeqCst) {
            self.check_again();
        }
    }

    pub(crate) fn may_claim(&self) -> bool {
        !self.settles_fail.load(Ordering::SeqCst)
    }

    /// Whether a claim is under way, whose leases the worker does not know yet.
    pub(crate) fn is_claiming(&self) -> bool {
        self.is_claiming.load(Ordering::SeqCst)
    }

    pub(crate) fn begin_claim(&self) {
        self.is_claiming.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end_claim(&self) {
        self.is_claiming.store(false, Ordering::SeqCst);
    }
}
