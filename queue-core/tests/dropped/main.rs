//! The effects of public futures of `queue-core` that are dropped before their first poll, after
//! their first, … until they end. The futures of a backend have conformance cases.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod enqueuing;
mod handlers;
mod helpers;
mod hesitant;

use queue_core::testing::drop_after;

/// Drops what `make` makes at each of its polls, and calls `after` each time, until it answers; the answer.
async fn at_each_poll<T>(mut make: impl AsyncFnMut() -> T, mut after: impl AsyncFnMut(u32)) -> T {
    for polls in 0..1000 {
        if let Some(answer) = drop_after(polls, make()).await {
            return answer;
        }
        after(polls).await;
    }
    panic!("it does not end");
}
