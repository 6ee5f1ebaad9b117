//! Tests shared commits and dropped callers.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::common::{TestFolder, count, insert, spec};
use queue_core::ErrorKind;

/// Counts commits: a frame of the write-ahead log that ends a transaction has the size of the file.
fn commits(folder: &TestFolder) -> usize {
    let (header, frame) = (32, 24 + 4096);
    let log = std::fs::read(folder.file().with_extension("db-wal")).unwrap();
    log[header..].chunks(frame).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn waiting_requests_share_one_commit() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    insert(&backend, vec![spec("0")]).await.unwrap();
    let before = commits(&folder);
    let lock = folder.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut calls: Vec<_> = (0..50).map(|_| Box::pin(insert(&backend, vec![spec("1")]))).collect();
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    lock.execute_batch("COMMIT").unwrap();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(commits(&folder) - before, 1);
    assert_eq!(count(&backend).await, 51);
}

async fn insert_with_a_poisoned_job(trigger_action: &str) {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let lock = folder.connection();
    let trigger = format!(
        "CREATE TRIGGER poison AFTER INSERT ON queue_live
         WHEN (SELECT payload FROM queue_jobs WHERE seq = NEW.seq) = '\"poison\"'
         BEGIN SELECT RAISE({trigger_action}, 'poisoned'); END; BEGIN IMMEDIATE"
    );
    lock.execute_batch(&trigger).unwrap();
    let batch = |number: usize| match number {
        7 => vec![spec("1"), spec("\"poison\""), spec("1")],
        9 => vec![spec("\"poison\"")],
        _ => vec![spec("1"), spec("1")],
    };
    let mut calls: Vec<_> = (0..20).map(|number| Box::pin(insert(&backend, batch(number)))).collect();
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    lock.execute_batch("COMMIT").unwrap();
    for (number, call) in calls.into_iter().enumerate() {
        match call.await {
            Ok(_) => assert!(number != 7 && number != 9),
            Err(error) => {
                assert!(number == 7 || number == 9, "{number}: {error}");
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            }
        }
    }
    assert_eq!(count(&backend).await, 36);
}

#[tokio::test]
async fn failed_request_fails_only_itself() {
    insert_with_a_poisoned_job("ABORT").await;
}

#[tokio::test]
async fn request_that_rolls_back_fails_only_itself() {
    insert_with_a_poisoned_job("ROLLBACK").await;
}

#[tokio::test]
async fn dropped_insert_is_stored_whole_or_absent() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let mut started = 0;
    for round in 0..200 {
        let mut call = pin!(insert(&backend, vec![spec("1"), spec("2"), spec("3")]));
        if round % 2 == 0 {
            let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(poll, Poll::Pending | Poll::Ready(Ok(_))));
            started += 1;
        }
    }
    // The writer serves this insert after the others.
    insert(&backend, vec![spec("0")]).await.unwrap();
    assert_eq!(count(&backend).await, started * 3 + 1);
}

#[tokio::test]
async fn last_drop_finishes_requests_and_closes_file() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let other = backend.clone();
    let mut call = Box::pin(insert(&backend, vec![spec("1")]));
    let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(call);
    drop((backend, other));
    assert!(!folder.file().with_extension("db-wal").exists(), "the log is moved into the file");
    assert_eq!(count(&folder.open().await).await, 1);
}

#[tokio::test]
async fn writer_thread_may_drop_the_last_handle() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let task = tokio::spawn(async move {
        insert(&backend, vec![spec("1")]).await.unwrap();
    });
    task.await.unwrap();
    assert_eq!(count(&folder.open().await).await, 1);
}
