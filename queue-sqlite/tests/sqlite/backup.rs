//! A copy of the database, made while others work.

use std::fs;
use std::path::Path;

use queue_core::{Backend, ErrorKind};
use queue_sqlite::{SqliteBackend, SqliteConfig};
use queue_testkit::drop_after;

use crate::common::{Place, claim, count, insert, register, spec};

/// How many jobs are in a copy, which is checked.
fn jobs_in(file: &Path) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    connection.query_row("SELECT count(*) FROM queue_jobs", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_has_whole_batches_while_others_enqueue() {
    let place = Place::new();
    let backend = place.open().await;
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
        let copy = place.folder().join(format!("copy-{number}.db"));
        backend.backup_to(&copy).await.unwrap();
        let jobs = jobs_in(&copy);
        assert!(jobs >= 100 && jobs % 10 == 0, "{jobs}");
    }
    enqueuer.await.unwrap();
}

#[tokio::test]
async fn a_handle_on_a_backup_works() {
    for config in [None, Some(SqliteConfig::in_memory())] {
        let place = Place::new();
        let backend = SqliteBackend::open(config.unwrap_or_else(|| place.config())).await.unwrap();
        insert(&backend, vec![spec("1"), spec("2")]).await.unwrap();
        let copy = place.folder().join("copy.db");
        backend.backup_to(&copy).await.unwrap();
        insert(&backend, vec![spec("3")]).await.unwrap();
        let copied = SqliteBackend::open(SqliteConfig::new(&copy)).await.unwrap();
        assert_eq!(count(&copied).await, 2);
        let worker = register(&copied).await;
        assert_eq!(copied.claim(claim(worker, 9)).await.unwrap().jobs.len(), 2);
    }
}

#[tokio::test]
async fn a_backup_overwrites_nothing() {
    let place = Place::new();
    let backend = place.open().await;
    let copy = place.folder().join("copy.db");
    fs::write(&copy, "mine").unwrap();
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("copy.db` exists"), "{error}");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "mine");
    fs::rename(&copy, place.folder().join("copy.db-wal")).unwrap();
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(!copy.exists());
    let error = backend.backup_to(place.file()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test]
async fn a_backup_that_fails_leaves_no_file() {
    let place = Place::new();
    let backend = place.open().await;
    let large = format!("\"{}\"", "x".repeat(3_000));
    insert(&backend, (0..100).map(|_| spec(&large)).collect()).await.unwrap();
    drop(backend);
    let mut bytes = fs::read(place.file()).unwrap();
    bytes[4096 * 20..4096 * 60].fill(0xa5);
    fs::write(place.file(), bytes).unwrap();
    let backend = place.open().await;
    let copy = place.folder().join("copy.db");
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!copy.exists());
    let error = backend.backup_to(place.folder().join("missing/copy.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_backup_of_a_removed_file_is_an_error() {
    let place = Place::new();
    let backend = place.open().await;
    fs::remove_file(place.file()).unwrap();
    let copy = place.folder().join("copy.db");
    let error = backend.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!copy.exists());
}

#[tokio::test]
async fn a_dropped_backup_is_whole_or_absent() {
    let place = Place::new();
    let backend = place.open().await;
    insert(&backend, vec![spec("1"), spec("2")]).await.unwrap();
    let copy = |polls: u32| place.folder().join(format!("copy-{polls}.db"));
    let mut polls = 0;
    while drop_after(polls, backend.backup_to(copy(polls))).await.is_none() {
        polls += 1;
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
    // Waits for those that go on.
    drop(backend);
    for copy in (0..=polls).map(copy) {
        assert!(!copy.exists() || jobs_in(&copy) >= 2, "{}", copy.display());
    }
    assert!(place.folder().join(format!("copy-{polls}.db")).exists());
}
