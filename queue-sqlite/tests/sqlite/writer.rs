//! How operations share commits, and what becomes of callers that go away.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::common::{Place, count, insert, spec};
use queue_core::ErrorKind;

/// Frames of the write-ahead log that end a transaction say how large the file is then.
fn commits(place: &Place) -> usize {
    let (header, frame) = (32, 24 + 4096);
    let log = std::fs::read(place.file().with_extension("db-wal")).unwrap();
    log[header..].chunks(frame).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let place = Place::new();
    let backend = place.open().await;
    insert(&backend, vec![spec("0")]).await.unwrap();
    let before = commits(&place);
    let lock = place.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut calls: Vec<_> = (0..50).map(|_| Box::pin(insert(&backend, vec![spec("1")]))).collect();
    for call in &mut calls {
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    lock.execute_batch("COMMIT").unwrap();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(commits(&place) - before, 1);
    assert_eq!(count(&backend).await, 51);
}

async fn a_poisoned_job_among_others(trigger_action: &str) {
    let place = Place::new();
    let backend = place.open().await;
    let lock = place.connection();
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
async fn one_that_fails_leaves_the_others_alone() {
    a_poisoned_job_among_others("ABORT").await;
}

#[tokio::test]
async fn one_that_undoes_the_whole_transaction_leaves_the_others_alone() {
    a_poisoned_job_among_others("ROLLBACK").await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_done_whole_or_not_at_all() {
    let place = Place::new();
    let backend = place.open().await;
    let mut started = 0;
    for round in 0..200 {
        let mut call = pin!(insert(&backend, vec![spec("1"), spec("2"), spec("3")]));
        if round % 2 == 0 {
            let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(poll, Poll::Pending | Poll::Ready(Ok(_))));
            started += 1;
        }
    }
    // Behind the others in the same queue.
    insert(&backend, vec![spec("0")]).await.unwrap();
    assert_eq!(count(&backend).await, started * 3 + 1);
}

#[tokio::test]
async fn dropping_the_last_handle_does_what_was_asked_and_closes_the_file() {
    let place = Place::new();
    let backend = place.open().await;
    let other = backend.clone();
    let mut call = Box::pin(insert(&backend, vec![spec("1")]));
    let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(call);
    drop((backend, other));
    assert!(!place.file().with_extension("db-wal").exists(), "the log is moved into the file");
    assert_eq!(count(&place.open().await).await, 1);
}

#[tokio::test]
async fn the_last_handle_may_be_dropped_by_the_writer_itself() {
    let place = Place::new();
    let backend = place.open().await;
    let task = tokio::spawn(async move {
        insert(&backend, vec![spec("1")]).await.unwrap();
    });
    task.await.unwrap();
    assert_eq!(count(&place.open().await).await, 1);
}
