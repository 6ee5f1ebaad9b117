//! The effects of public futures of `queue-core` that are dropped at each of their polls. The
//! futures of backends have conformance cases.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod enqueuing;
mod handlers;
mod helpers;
mod scheduling;
mod waiting;
mod yielding;

use queue_core::testing::drop_after;

/// Drops the future of `make` at each of its polls, and calls `after` each time, until it ends.
/// Returns its output.
async fn at_each_poll<T>(mut make: impl AsyncFnMut() -> T, mut after: impl AsyncFnMut(u32)) -> T {
    for polls in 0..1000 {
        if let Some(answer) = drop_after(polls, make()).await {
            return answer;
        }
        after(polls).await;
    }
    panic!("the future does not end");
}
