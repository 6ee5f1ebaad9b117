//! Settlements on their way from the slots to the settle loop of one backend.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::poison::ignore_poison;
use crate::runtime::decide::settlement::PendingSettlement;

/// Settlements that wait for the next round trip.
#[derive(Debug, Default)]
pub(crate) struct SettlementQueue {
    waiting: Mutex<VecDeque<PendingSettlement>>,
    arrived: Notify,
    /// The settle loop holds settlements that the storage has not yet answered.
    under_way: AtomicBool,
}

impl SettlementQueue {
    /// Adds a settlement, and notifies the settle loop if the queue was empty.
    pub(crate) fn push(&self, pending: PendingSettlement) {
        let mut waiting = ignore_poison(self.waiting.lock());
        waiting.push_back(pending);
        let is_first = waiting.len() == 1;
        drop(waiting);
        if is_first {
            self.arrived.notify_one();
        }
    }

    /// Whether no settlement waits and none is under way.
    pub(crate) fn is_idle(&self) -> bool {
        !self.under_way.load(Ordering::Acquire) && ignore_poison(self.waiting.lock()).is_empty()
    }

    /// Removes up to `limit` settlements. `held` says whether the settle loop still holds others.
    pub(crate) fn take(&self, limit: usize, held: bool) -> Vec<PendingSettlement> {
        let mut waiting = ignore_poison(self.waiting.lock());
        self.under_way.store(held || !waiting.is_empty(), Ordering::Release);
        let limit = limit.min(waiting.len());
        waiting.drain(..limit).collect()
    }

    /// Waits until a settlement arrives.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::completed;

    #[test]
    fn settlements_leave_in_order_and_up_to_a_limit() {
        let queue = SettlementQueue::default();
        let all: Vec<_> = (0..5).map(|_| completed(None)).collect();
        all.iter().for_each(|one| queue.push(one.clone()));
        assert_eq!(queue.take(3, false), all[..3]);
        assert!(!queue.is_idle());
        assert_eq!(queue.take(3, false), all[3..]);
        assert!(queue.take(3, true).is_empty());
        assert!(!queue.is_idle(), "the settle loop holds some");
        assert!(queue.take(3, false).is_empty());
        assert!(queue.is_idle());
    }
}
