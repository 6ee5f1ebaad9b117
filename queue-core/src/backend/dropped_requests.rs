//! Requests whose futures were dropped, and the reads that must see their effects.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lets reads wait for the requests whose futures were dropped before, for a backend that writes in
/// one thread and reads in another.
///
/// The contract says that later requests on a handle see the effect of a dropped one. The writing
/// thread serves requests in order, so its own requests do. A read on another connection does not.
///
/// ```
/// use queue_core::backend::DroppedRequests;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dropped = DroppedRequests::default();
/// // A write: it is counted if this future is dropped before the answer.
/// assert_eq!(dropped.count_if_dropped(async { "stored" }).await, "stored");
/// // A read: no write was dropped, so no empty write is needed.
/// dropped.wait(async || unreachable!()).await;
/// # });
/// ```
#[derive(Debug, Default)]
pub struct DroppedRequests {
    dropped: AtomicU64,
    /// The number of dropped requests that are known to have ended.
    ended: AtomicU64,
}

impl DroppedRequests {
    /// Awaits the answer to a request that was sent. Counts the request if this future is dropped
    /// before.
    pub async fn count_if_dropped<T>(&self, answer: impl Future<Output = T>) -> T {
        let guard = Guard(&self.dropped);
        let answer = answer.await;
        std::mem::forget(guard);
        answer
    }

    /// Waits until all requests that were dropped before this call have ended. `after_all` must
    /// return when all requests that were sent before it have ended, whatever their results. It is
    /// only called if a request was dropped since the last time.
    pub async fn wait(&self, after_all: impl AsyncFnOnce()) {
        let dropped = self.dropped.load(Ordering::SeqCst);
        if self.ended.load(Ordering::SeqCst) < dropped {
            after_all().await;
            self.ended.fetch_max(dropped, Ordering::SeqCst);
        }
    }
}

struct Guard<'a>(&'a AtomicU64);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::DroppedRequests;
    use crate::testing::drop_after;

    #[tokio::test]
    async fn reads_wait_once_for_each_dropped_request() {
        let (dropped, waits) = (DroppedRequests::default(), Cell::new(0));
        for (requests, expected) in [(0, 0), (1, 1), (0, 1), (2, 2)] {
            for _ in 0..requests {
                drop_after(1, dropped.count_if_dropped(pending::<()>())).await;
            }
            dropped.wait(async || waits.set(waits.get() + 1)).await;
            assert_eq!(waits.get(), expected);
        }
    }

    #[tokio::test]
    async fn dropped_wait_counts_for_nothing() {
        let (dropped, waits) = (DroppedRequests::default(), Cell::new(0));
        drop_after(1, dropped.count_if_dropped(pending::<()>())).await;
        drop_after(1, dropped.wait(async || pending().await)).await;
        dropped.wait(async || waits.set(waits.get() + 1)).await;
        assert_eq!(waits.get(), 1);
    }
}
