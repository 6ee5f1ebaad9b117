//! Tests a restore into the file of an open handle.

use std::sync::Arc;

use queue_core::{Backend, JobSpec, Kind, QueueName};
use rusqlite::MAIN_DB;

use crate::common::{TestFolder, claim, insert, register, spec};
use queue_core::backend::ClaimRequest;

fn job(kind: &str, queue: &str) -> JobSpec {
    spec("1").kind(Kind::new(kind).unwrap()).queue(QueueName::new(queue).unwrap())
}

/// A file in which kinds and queues have numbers in this order.
async fn file_with(jobs: Vec<JobSpec>) -> TestFolder {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    insert(&backend, jobs).await.unwrap();
    folder
}

/// Restores as the `.restore` of the SQLite shell does.
fn restore(folder: &TestFolder, copy: &TestFolder) {
    folder.connection().restore(MAIN_DB, copy.file(), None::<fn(_)>).unwrap();
}

#[tokio::test]
async fn restored_job_keeps_kind_and_queue() {
    let folder = file_with(vec![job("resize", "images"), job("thumb", "mail")]).await;
    let copy = file_with(vec![job("thumb", "mail"), job("resize", "images")]).await;
    let backend = folder.open().await;
    // Now the handle has cached all names.
    insert(&backend, vec![job("resize", "images"), job("thumb", "mail")]).await.unwrap();
    restore(&folder, &copy);
    let worker = register(&backend).await;
    insert(&backend, vec![job("resize", "images")]).await.unwrap();
    let resize = |queue: &str| {
        let request = claim(worker, 10);
        let kinds = Arc::from([Kind::new("resize").unwrap()]);
        ClaimRequest::new(worker, request.claim, QueueName::new(queue).unwrap(), kinds, 10)
    };
    let jobs = backend.claim(resize("images")).await.unwrap().jobs;
    assert_eq!(jobs.len(), 2, "the restored job, and the one that was enqueued after the restore");
    assert!(backend.claim(resize("mail")).await.unwrap().jobs.is_empty());
    let rows: i64 = folder
        .connection()
        .query_row(
            "SELECT count(*) FROM queue_overview WHERE kind = 'resize' AND queue = 'images'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn read_after_a_restore_uses_no_cached_names() {
    let folder = file_with(vec![job("resize", "default"), job("thumb", "default")]).await;
    let copy = file_with(vec![job("thumb", "default")]).await;
    let backend = folder.open().await;
    let worker = register(&backend).await;
    let resize = || {
        let kinds = Arc::from([Kind::new("resize").unwrap()]);
        ClaimRequest::new(worker, claim(worker, 1).claim, QueueName::default(), kinds, 1)
    };
    assert_eq!(backend.claim(resize()).await.unwrap().jobs.len(), 1);
    assert!(backend.claim(resize()).await.unwrap().jobs.is_empty(), "the handle only reads");
    restore(&folder, &copy);
    let worker = register(&backend).await;
    let kinds = Arc::from([Kind::new("resize").unwrap()]);
    let request = ClaimRequest::new(worker, claim(worker, 1).claim, QueueName::default(), kinds, 1);
    let jobs = backend.claim(request).await.unwrap().jobs;
    assert!(jobs.is_empty(), "the restored file has a job of another kind only: {jobs:?}");
}
