//! Tests that no commit is acknowledged that the next program would not find, when the files of an
//! open handle are removed, moved or replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use queue_core::backend::{HeartbeatRequest, LeasesRequest, MaintainRequest, RetireRequest};
use queue_core::{Backend, Error, ErrorKind};
use queue_sqlite::SqliteBackend;

use crate::common::{TestFolder, claim, count, insert, register, spec};

const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", file.display()))
}

/// Moves the file, with its log, to another name.
fn rename_all(from: &Path, to: &Path) {
    for suffix in SUFFIXES {
        fs::rename(with_suffix(from, suffix), with_suffix(to, suffix)).unwrap();
    }
}

async fn refused(backend: &SqliteBackend) -> Error {
    let error = insert(backend, vec![spec("1")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    error
}

/// The number of jobs that another program finds in the file.
fn jobs_in(file: &Path) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    connection.query_row("SELECT count(*) FROM queue_jobs", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn enqueue_into_removed_files_is_unavailable() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    for suffix in SUFFIXES {
        fs::remove_file(with_suffix(&folder.file(), suffix)).unwrap();
    }
    let error = refused(&backend).await;
    assert!(error.to_string().contains("no longer at its path: it was removed"), "{error}");
    let error = refused(&backend).await;
    assert!(error.to_string().contains("there is no file, and none is created"), "{error}");
    let error = backend.claim(claim(worker, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = backend.extensions().audit.unwrap().stored().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(backend);
    for suffix in SUFFIXES {
        assert!(!with_suffix(&folder.file(), suffix).exists(), "{suffix}");
    }
}

#[tokio::test]
async fn empty_claim_on_removed_files_is_unavailable() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    assert!(backend.claim(claim(worker, 1)).await.unwrap().jobs.is_empty());
    rename_all(&folder.file(), &folder.file().with_file_name("away.db"));
    let error = backend.claim(claim(worker, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn worker_request_on_removed_files_is_unavailable() {
    for request in 0..4 {
        let folder = TestFolder::new();
        let backend = folder.open().await;
        let worker = register(&backend).await;
        rename_all(&folder.file(), &folder.file().with_file_name("away.db"));
        let error = match request {
            0 => backend.heartbeat(HeartbeatRequest::new(worker)).await.unwrap_err(),
            1 => {
                let claim = claim(worker, 1).claim;
                backend.leases(LeasesRequest::new(worker, claim)).await.unwrap_err()
            }
            2 => backend.maintain(MaintainRequest::rescue(1)).await.unwrap_err(),
            _ => backend.retire(RetireRequest::new(worker)).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{request}: {error}");
    }
}

#[tokio::test]
async fn restored_files_are_used_again() {
    let folder = TestFolder::new();
    let away = folder.file().with_file_name("away.db");
    let backend = folder.open().await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
    rename_all(&folder.file(), &away);
    refused(&backend).await;
    refused(&backend).await;
    let left: Vec<_> = SUFFIXES.iter().filter(|suffix| with_suffix(&away, suffix).exists()).collect();
    for suffix in left {
        fs::rename(with_suffix(&away, suffix), with_suffix(&folder.file(), suffix)).unwrap();
    }
    let mut wakes = backend.subscribe();
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert!(wakes.recv().await.unknown);
    assert_eq!(count(&backend).await, 2);
    assert_eq!(jobs_in(&folder.file()), 2);
}

/// A backup: a database with one job.
async fn backup() -> TestFolder {
    let folder = TestFolder::new();
    insert(&folder.open().await, vec![spec("\"of the backup\"")]).await.unwrap();
    folder
}

async fn assert_continues_in_the_new_file(
    folder: &TestFolder,
    backend: &SqliteBackend,
    worker: queue_core::WorkerId,
) {
    let error = refused(backend).await;
    assert!(error.to_string().contains("another file replaced it"), "{error}");
    insert(backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(backend).await, 2);
    assert_eq!(jobs_in(&folder.file()), 2);
    let error = backend.claim(claim(worker, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let worker = register(backend).await;
    assert_eq!(backend.claim(claim(worker, 9)).await.unwrap().jobs.len(), 2);
}

#[tokio::test]
async fn enqueue_after_replacement_uses_the_new_file() {
    let (folder, new) = (TestFolder::new(), backup().await);
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1"), spec("1"), spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 3);
    // The log of the old file stays at the path of the new file's log.
    fs::rename(new.file(), folder.file()).unwrap();
    assert_continues_in_the_new_file(&folder, &backend, worker).await;
}

const FILE: &str = "QUEUE_SQLITE_TEST_WRITES_AND_IS_KILLED";

/// Runs in a separate process, which is killed before it closes the file.
#[test]
fn child_that_writes_and_is_killed() {
    if let Some(file) = std::env::var_os(FILE) {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch("CREATE TABLE application (id)").unwrap();
        std::process::abort();
    }
}

#[tokio::test]
async fn log_used_by_another_program_is_kept() {
    let (folder, new) = (TestFolder::new(), backup().await);
    let backend = folder.open().await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    // Another program opens the new file together with the log of the old one, and commits.
    fs::rename(new.file(), folder.file()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "moved::child_that_writes_and_is_killed"]).env(FILE, folder.file());
    assert!(!child.output().unwrap().status.success());
    let log = fs::read(with_suffix(&folder.file(), "-wal")).unwrap();
    refused(&backend).await;
    let error = refused(&backend).await;
    assert!(
        error.to_string().contains("it is the log of a database that was removed or replaced"),
        "{error}"
    );
    assert_eq!(fs::read(with_suffix(&folder.file(), "-wal")).unwrap(), log);
}

#[tokio::test]
async fn log_of_the_replacing_file_is_kept() {
    let (folder, new) = (TestFolder::new(), backup().await);
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    for suffix in SUFFIXES {
        fs::remove_file(with_suffix(&folder.file(), suffix)).unwrap();
    }
    fs::rename(new.file(), folder.file()).unwrap();
    // Another program uses the new file and has commits in its log.
    let other = folder.connection();
    other.execute_batch("CREATE TABLE application (id); INSERT INTO application VALUES (1)").unwrap();
    let log = fs::metadata(with_suffix(&folder.file(), "-wal")).unwrap().len();
    assert!(log > 0);
    assert_continues_in_the_new_file(&folder, &backend, worker).await;
    drop(backend);
    other.query_row("SELECT id FROM application", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(jobs_in(&folder.file()), 2);
}

#[tokio::test]
async fn acknowledged_jobs_survive_removal_of_the_log() {
    for removed in [&["-wal", "-shm"][..], &["-wal"], &["-shm"]] {
        let folder = TestFolder::new();
        let backend = folder.open().await;
        insert(&backend, vec![spec("1"), spec("2")]).await.unwrap();
        assert_eq!(count(&backend).await, 2);
        for suffix in removed {
            fs::remove_file(with_suffix(&folder.file(), suffix)).unwrap();
        }
        refused(&backend).await;
        insert(&backend, vec![spec("3")]).await.unwrap();
        assert_eq!(count(&backend).await, 3, "{removed:?}");
        drop(backend);
        assert_eq!(jobs_in(&folder.file()), 3, "{removed:?}");
    }
}

#[tokio::test]
async fn dropped_handle_saves_a_removed_log() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(with_suffix(&folder.file(), suffix)).unwrap();
    }
    drop(backend);
    assert_eq!(jobs_in(&folder.file()), 1);
}

#[tokio::test]
async fn readers_reopen_without_a_write() {
    let (folder, new) = (TestFolder::new(), backup().await);
    let backend = folder.open().await;
    assert_eq!(count(&backend).await, 0);
    fs::rename(new.file(), folder.file()).unwrap();
    assert_eq!(count(&backend).await, 1);
}
