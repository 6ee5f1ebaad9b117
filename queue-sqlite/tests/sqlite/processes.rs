//! Tests several handles on one file, as several processes have them.

use std::time::Duration;

use tokio::time::timeout;

use crate::common::{TestFolder, claim, insert, register, spec};
use queue_core::Backend;
use queue_core::backend::CancelRequest;

/// Timeout of the tests.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_of_another_process_wakes_subscribers() {
    let folder = TestFolder::new();
    let (ours, theirs) = (folder.open().await, folder.open().await);
    let worker = register(&ours).await;
    let mut wakes = ours.subscribe();
    for _ in 0..20 {
        insert(&theirs, vec![spec("1")]).await.unwrap();
        loop {
            assert!(timeout(PATIENCE, wakes.recv()).await.unwrap().unknown);
            if !backend_is_empty(&ours, worker).await {
                break;
            }
        }
    }
}

async fn backend_is_empty(backend: &queue_sqlite::SqliteBackend, worker: queue_core::WorkerId) -> bool {
    backend.claim(claim(worker, 1)).await.unwrap().jobs.is_empty()
}

/// The cancel is announced by its commit, and does not wait for a heartbeat of the worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_of_another_process_is_announced() {
    let folder = TestFolder::new();
    let (ours, theirs) = (folder.open().await, folder.open().await);
    let worker = register(&ours).await;
    let id = insert(&ours, vec![spec("1")]).await.unwrap()[0].id;
    assert_eq!(ours.claim(claim(worker, 1)).await.unwrap().jobs.len(), 1);
    let mut wakes = ours.subscribe();
    theirs.cancel(CancelRequest::new(vec![id]).signal_running()).await.unwrap();
    while timeout(PATIENCE, wakes.recv()).await.unwrap().cancels != [id] {}
}

#[tokio::test]
async fn own_commit_is_not_a_foreign_commit() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let mut wakes = backend.subscribe();
    insert(&backend, vec![spec("1")]).await.unwrap();
    let wake = wakes.recv().await;
    assert_eq!(wake.ready.len(), 1);
    assert!(!wake.unknown, "{wake:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_claims_share_the_jobs() {
    let folder = TestFolder::new();
    let (ours, theirs) = (folder.open().await, folder.open().await);
    let (our_worker, their_worker) = (register(&ours).await, register(&theirs).await);
    insert(&ours, (0..1000).map(|_| spec("1")).collect()).await.unwrap();
    let drain = |backend: queue_sqlite::SqliteBackend, worker| async move {
        let mut ids = Vec::new();
        loop {
            let jobs = backend.claim(claim(worker, 7)).await.unwrap().jobs;
            if jobs.is_empty() {
                return ids;
            }
            ids.extend(jobs.into_iter().map(|job| job.token.job));
        }
    };
    let (ours, theirs) = (tokio::spawn(drain(ours, our_worker)), tokio::spawn(drain(theirs, their_worker)));
    let mut ids = ours.await.unwrap();
    ids.extend(theirs.await.unwrap());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
}
