//! Tests that a handle in a forked child returns errors and does not hang.

use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fork::{Fork, WEXITSTATUS, WIFEXITED, fork, waitpid_nohang};
use queue_core::{Backend, ErrorKind, Result};
use queue_sqlite::{SqliteBackend, SqliteConfig};

use crate::common::{TestFolder, claim, count, insert, register, spec};

const FILE: &str = "QUEUE_SQLITE_TEST_FORKS";
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of the first poll. A forked child cannot wait, because its runtime has no threads
/// either.
fn first_poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn is_refused<T>(request: impl Future<Output = Result<T>>) -> bool {
    match first_poll(request) {
        Poll::Ready(Err(error)) => {
            error.kind() == ErrorKind::Unsupported && error.to_string().contains("forked")
        }
        Poll::Ready(Ok(_)) | Poll::Pending => false,
    }
}

/// The exit code of a forked child: the number of requests that were not refused.
fn ask_everything(backend: SqliteBackend, worker: queue_core::WorkerId) -> i32 {
    let refused = [
        is_refused(insert(&backend, vec![spec("1")])),
        is_refused(backend.claim(claim(worker, 1))),
        is_refused(backend.extensions().audit.unwrap().stored()),
    ];
    drop(backend);
    refused.into_iter().map(|refused| i32::from(!refused)).sum()
}

/// Waits for a forked child. Kills a child that hangs.
fn exit_code(child: i32) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = waitpid_nohang(child).unwrap() {
            return WIFEXITED(status).then(|| WEXITSTATUS(status));
        }
        if Instant::now() > deadline {
            Command::new("kill").args(["-9", &child.to_string()]).status().unwrap();
            return None;
        }
        std::thread::yield_now();
    }
}

/// Runs in a separate process, in which no other test holds a lock.
#[tokio::test]
async fn child_process_that_forks() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let backend = SqliteBackend::open(SqliteConfig::new(file)).await.unwrap();
    let worker = register(&backend).await;
    assert_eq!(count(&backend).await, 0);
    match fork().unwrap() {
        Fork::Child => std::process::exit(ask_everything(backend, worker)),
        Fork::Parent(child) => assert_eq!(exit_code(child), Some(0)),
    }
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn request_in_a_forked_child_is_unsupported() {
    let folder = TestFolder::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "forked::child_process_that_forks"]).env(FILE, folder.file());
    assert!(command.status().unwrap().success());
    assert_eq!(count(&folder.open().await).await, 1);
}
