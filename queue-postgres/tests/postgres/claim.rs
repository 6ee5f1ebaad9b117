//! A claim beside a transaction of somebody else's that stays open.

use std::time::Duration;

use queue_core::{Backend, Timestamp};

use crate::common::{Place, claim, insert, register, spec};

/// Nothing tells when the lock goes, and to claim again at once would bring nothing.
#[tokio::test]
async fn a_due_job_that_is_locked_is_left_alone_for_a_moment_and_found_afterwards() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    let due = Timestamp::now().saturating_add(Duration::from_secs(3600));
    insert(&backend, vec![spec("1").run_at(due)]).await.unwrap();
    let mut client = place.connect().await;
    let open = client.transaction().await.unwrap();
    open.batch_execute(&format!("SELECT id FROM {}.live FOR UPDATE", place.schema())).await.unwrap();

    // So long after it is due that a claim behind a cursor would not look back so far, if the job were taken for promoted.
    let now = due.saturating_add(Duration::from_secs(60));
    let locked = backend.claim(claim(worker, 1).at(now)).await.unwrap();
    assert!(locked.jobs.is_empty(), "{locked:?}");
    assert!(locked.next_due.is_some_and(|wait| !wait.is_zero()), "{locked:?}");
    open.rollback().await.unwrap();
    let mut behind = claim(worker, 1).at(now);
    behind.cursor = locked.cursor;
    assert!(behind.cursor.is_some());
    assert_eq!(backend.claim(behind).await.unwrap().jobs.len(), 1);
}
