//! A forked child of a process with a handle gets errors and never hangs. The parent's connections
//! still work.

use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fork::{Fork, WEXITSTATUS, WIFEXITED, fork, waitpid_nohang};
use queue_core::{Backend, ErrorKind, Result};
use queue_postgres::{PostgresBackend, PostgresConfig};

use crate::common::{TestSchema, claim, count, insert, register, spec};

const URL: &str = "QUEUE_POSTGRES_TEST_FORKS";
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls once, because a child cannot wait: its runtime has no threads.
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
fn ask_everything(backend: PostgresBackend, worker: queue_core::WorkerId) -> i32 {
    let refused = [
        is_refused(insert(&backend, vec![spec("1")])),
        is_refused(backend.claim(claim(worker, 1))),
        is_refused(backend.extensions().audit.unwrap().stored()),
    ];
    drop(backend);
    refused.into_iter().map(|refused| i32::from(!refused)).sum()
}

/// Waits for a forked child, and kills one that hangs.
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

/// Run by the test below, in a process where no other test holds a lock.
#[tokio::test]
async fn child_that_forks() {
    let Ok(url) = std::env::var(URL) else { return };
    let backend = PostgresBackend::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap();
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
async fn forked_child_is_refused_and_never_hangs() {
    let schema = TestSchema::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "forked::child_that_forks"])
        .env(URL, format!("{}?schema={}", schema.url(), schema.name()));
    assert!(command.status().unwrap().success());
    assert_eq!(count(&schema.open().await).await, 1);
}
