//! A helper that drops a future before it ends.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future, and drops it if it has not ended at its `polls`-th poll. Returns its output if
/// it has ended.
///
/// The future is polled again only when it is woken. To drop a future at each of its suspension
/// points, increase `polls` until it ends:
///
/// ```
/// use queue_core::testing::drop_after;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut polls = 0;
/// while drop_after(polls, tokio::task::yield_now()).await.is_none() {
///     polls += 1; // Here a test checks the effects of the dropped future.
/// }
/// assert_eq!(polls, 2);
/// # });
/// ```
pub async fn drop_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn future_is_dropped_at_its_last_poll() {
        let yields_once = || async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(drop_after(0, ready(7)).await, None);
        assert_eq!(drop_after(1, ready(7)).await, Some(7));
        assert_eq!(drop_after(1, yields_once()).await, None);
        assert_eq!(drop_after(2, yields_once()).await, Some(7));
    }
}
