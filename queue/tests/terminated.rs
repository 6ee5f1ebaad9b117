//! Tests the signal that ends a program.

#![cfg(unix)]

use std::time::Duration;

use queue::terminated;
use queue_core::testing::drop_after;
use rustix::process::{Signal, getpid, kill_process};
use tokio::time::timeout;

/// A timeout that is reached only if the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn dropped_wait_for_the_end_can_be_repeated() {
    assert!(drop_after(1, terminated()).await.is_none());
    for signal in [Signal::TERM, Signal::INT] {
        let mut end = std::pin::pin!(terminated());
        assert!(drop_after(1, end.as_mut()).await.is_none(), "no signal was sent yet");
        kill_process(getpid(), signal).unwrap();
        timeout(PATIENCE, end).await.unwrap();
    }
}
