//! Tests backups during other requests.

use std::fs;
use std::path::Path;

use queue_core::testing::drop_after;
use queue_core::{Backend, ErrorKind};
use queue_sqlite::{SqliteBackend, SqliteConfig};

use crate::common::{TestFolder, claim, count, insert, register, spec};

/// Checks the integrity of a copy and returns the number of its jobs.
fn jobs_in(file: &Path) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    connection.query_row("SELECT count(*) FROM queue_jobs", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_during_enqueues_has_whole_batches() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    insert(&backend, (0..100).map(|_| spec("1")).collect()).await.unwrap();
    let enqueuer = tokio::spawn({
        let backend = backend.clone();
        async move {
            for _ in 0..200 {
                insert(&backend, (0..10).map(|_| spec("1")).collect()).await.unwrap();
            }
        }
    });
    for number in 0..5 {
        let copy = folder.path().join(format!("copy-{number}.db"));
        backend.backup_to(&copy).await.unwrap();
        let jobs = jobs_in(&copy);
        assert!(jobs >= 100 && jobs % 10 == 0, "{jobs}");
    }
    enqueuer.await.unwrap();
}

#[tokio::test]
async fn backup_can_be_opened_and_used() {
    for config in [None, Some(SqliteConfig::in_memory())] {
        let folder = TestFolder::new();
        let backend = SqliteBackend::open(config.unwrap_or_else(|| folder.config())).await.unwrap();
        insert(&backend, vec![spec("1"), spec("2")]).await.unwrap();
        let copy = folder.path().join("copy.db");
        backend.backup_to(&copy).await.unwrap();
        insert(&backend, vec![spec("3")]).await.unwrap();
        let copied = SqliteBackend::open(SqliteConfig::new(&copy)).await.unwrap();
        assert_eq!(count(&copied).await, 2);
        let worker = register(&copied).await;
        assert_eq!(copied.claim(claim(worker, 9)).await.unwrap().jobs.len(), 2);
    }
}

#[tokio::test]
async fn backup_to_an_existing_file_is_conflict() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let copy = folder.path().join("copy.db");
    fs::write(&copy, "mine").unwrap();
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("copy.db` exists"), "{error}");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "mine");
    fs::rename(&copy, folder.path().join("copy.db-wal")).unwrap();
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(!copy.exists());
    let error = backend.backup_to(folder.file()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test]
async fn failed_backup_leaves_no_file() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let large = format!("\"{}\"", "x".repeat(3_000));
    insert(&backend, (0..100).map(|_| spec(&large)).collect()).await.unwrap();
    drop(backend);
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes[4096 * 50..4096 * 90].fill(0xa5);
    fs::write(folder.file(), bytes).unwrap();
    let backend = folder.open().await;
    let copy = folder.path().join("copy.db");
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!copy.exists());
    let error = backend.backup_to(folder.path().join("missing/copy.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn backup_of_a_removed_file_is_an_error() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    fs::remove_file(folder.file()).unwrap();
    let copy = folder.path().join("copy.db");
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!copy.exists());
}

#[tokio::test]
async fn dropped_backup_is_whole_or_absent() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    insert(&backend, vec![spec("1"), spec("2")]).await.unwrap();
    let copy = |polls: u32| folder.path().join(format!("copy-{polls}.db"));
    let mut polls = 0;
    while drop_after(polls, backend.backup_to(copy(polls))).await.is_none() {
        polls += 1;
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
    // Waits for the running copies.
    drop(backend);
    for copy in (0..=polls).map(copy) {
        assert!(!copy.exists() || jobs_in(&copy) >= 2, "{}", copy.display());
    }
    assert!(folder.path().join(format!("copy-{polls}.db")).exists());
}
