//! Tests the signal that ends a program.

#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use queue::terminated;
use queue_core::testing::drop_after;
use rustix::process::{Signal, getpid, kill_process};
use tokio::time::timeout;

/// A timeout that is reached only if the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variable with the signal that the child sends to itself.
const SIGNAL: &str = "QUEUE_TEST_SIGNAL";

/// Each signal in a process of its own, because it is taken over once per process.
#[test]
fn dropped_wait_for_the_end_can_be_repeated() {
    for signal in ["TERM", "INT"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let child = child.args(["--exact", "child_that_is_signalled"]).env(SIGNAL, signal);
        assert!(child.status().unwrap().success(), "{signal}");
    }
}

#[tokio::test]
async fn child_that_is_signalled() {
    let Some(signal) = std::env::var_os(SIGNAL) else { return };
    let signal = if signal == "TERM" { Signal::TERM } else { Signal::INT };
    assert!(drop_after(1, terminated()).await.is_none());
    assert!(drop_after(1, terminated()).await.is_none(), "no signal was sent yet");
    kill_process(getpid(), signal).unwrap(); // between two waits
    timeout(PATIENCE, terminated()).await.unwrap();
    timeout(PATIENCE, terminated()).await.unwrap();
}
