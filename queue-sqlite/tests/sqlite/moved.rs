//! Nothing is acknowledged that the next program would not find: the files of an open handle are
//! removed, moved or replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use queue_core::backend::{HeartbeatRequest, LeasesRequest, MaintainRequest, RetireRequest};
use queue_core::{Backend, Error, ErrorKind};
use queue_sqlite::SqliteBackend;

use crate::common::{Place, claim, count, insert, register, spec};

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

/// How many jobs another program finds that opens the file now.
fn jobs_in(file: &Path) -> i64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    connection.query_row("SELECT count(*) FROM queue_jobs", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_enqueue_into_removed_files_is_an_error() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    for suffix in SUFFIXES {
        fs::remove_file(with_suffix(&place.file(), suffix)).unwrap();
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
        assert!(!with_suffix(&place.file(), suffix).exists(), "{suffix}");
    }
}

#[tokio::test]
async fn a_claim_that_finds_nothing_in_removed_files_is_an_error() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    assert!(backend.claim(claim(worker, 1)).await.unwrap().jobs.is_empty());
    rename_all(&place.file(), &place.file().with_file_name("away.db"));
    let error = backend.claim(claim(worker, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn each_request_of_a_worker_on_removed_files_fails() {
    for request in 0..4 {
        let place = Place::new();
        let backend = place.open().await;
        let worker = register(&backend).await;
        rename_all(&place.file(), &place.file().with_file_name("away.db"));
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
async fn files_that_are_put_back_are_used_again() {
    let place = Place::new();
    let away = place.file().with_file_name("away.db");
    let backend = place.open().await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
    rename_all(&place.file(), &away);
    refused(&backend).await;
    refused(&backend).await;
    let left: Vec<_> = SUFFIXES.iter().filter(|suffix| with_suffix(&away, suffix).exists()).collect();
    for suffix in left {
        fs::rename(with_suffix(&away, suffix), with_suffix(&place.file(), suffix)).unwrap();
    }
    let mut wakes = backend.subscribe();
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert!(wakes.recv().await.unknown);
    assert_eq!(count(&backend).await, 2);
    assert_eq!(jobs_in(&place.file()), 2);
}

/// A database with one job, as a backup that was put aside.
async fn backup() -> Place {
    let place = Place::new();
    insert(&place.open().await, vec![spec("\"of the backup\"")]).await.unwrap();
    place
}

async fn goes_on_in_the_new_file(place: &Place, backend: &SqliteBackend, worker: queue_core::WorkerId) {
    let error = refused(backend).await;
    assert!(error.to_string().contains("another file replaced it"), "{error}");
    insert(backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(backend).await, 2);
    assert_eq!(jobs_in(&place.file()), 2);
    let error = backend.claim(claim(worker, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
    let worker = register(backend).await;
    assert_eq!(backend.claim(claim(worker, 9)).await.unwrap().jobs.len(), 2);
}

#[tokio::test]
async fn jobs_go_to_the_file_that_replaced_the_open_one() {
    let (place, new) = (Place::new(), backup().await);
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1"), spec("1"), spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 3);
    // The log of the old file stays where the new one looks for its own.
    fs::rename(new.file(), place.file()).unwrap();
    goes_on_in_the_new_file(&place, &backend, worker).await;
}

const FILE: &str = "QUEUE_SQLITE_TEST_WRITES_AND_IS_KILLED";

/// Run by the test below: another program, which is killed before it closes the file.
#[test]
fn child_that_writes_and_is_killed() {
    if let Some(file) = std::env::var_os(FILE) {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch("CREATE TABLE application (id)").unwrap();
        std::process::abort();
    }
}

#[tokio::test]
async fn a_log_that_another_program_may_use_is_left_and_not_taken_for_a_part_of_the_new_file() {
    let (place, new) = (Place::new(), backup().await);
    let backend = place.open().await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    // Another program opens the new file together with the log of the old one, and commits.
    fs::rename(new.file(), place.file()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "moved::child_that_writes_and_is_killed"]).env(FILE, place.file());
    assert!(!child.output().unwrap().status.success());
    let log = fs::read(with_suffix(&place.file(), "-wal")).unwrap();
    refused(&backend).await;
    let error = refused(&backend).await;
    assert!(
        error.to_string().contains("it is the log of a database that was removed or replaced"),
        "{error}"
    );
    assert_eq!(fs::read(with_suffix(&place.file(), "-wal")).unwrap(), log);
}

#[tokio::test]
async fn the_log_of_the_file_that_replaced_the_open_one_stays() {
    let (place, new) = (Place::new(), backup().await);
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    for suffix in SUFFIXES {
        fs::remove_file(with_suffix(&place.file(), suffix)).unwrap();
    }
    fs::rename(new.file(), place.file()).unwrap();
    // Another program uses the new file, and has its commits in its log.
    let other = place.connection();
    other.execute_batch("CREATE TABLE application (id); INSERT INTO application VALUES (1)").unwrap();
    let log = fs::metadata(with_suffix(&place.file(), "-wal")).unwrap().len();
    assert!(log > 0);
    goes_on_in_the_new_file(&place, &backend, worker).await;
    drop(backend);
    other.query_row("SELECT id FROM application", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(jobs_in(&place.file()), 2);
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_removal_of_the_log() {
    for removed in [&["-wal", "-shm"][..], &["-wal"], &["-shm"]] {
        let place = Place::new();
        let backend = place.open().await;
        insert(&backend, vec![spec("1"), spec("2")]).await.unwrap();
        assert_eq!(count(&backend).await, 2);
        for suffix in removed {
            fs::remove_file(with_suffix(&place.file(), suffix)).unwrap();
        }
        refused(&backend).await;
        insert(&backend, vec![spec("3")]).await.unwrap();
        assert_eq!(count(&backend).await, 3, "{removed:?}");
        drop(backend);
        assert_eq!(jobs_in(&place.file()), 3, "{removed:?}");
    }
}

#[tokio::test]
async fn a_handle_that_is_dropped_after_the_removal_of_its_log_saves_it() {
    let place = Place::new();
    let backend = place.open().await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(with_suffix(&place.file(), suffix)).unwrap();
    }
    drop(backend);
    assert_eq!(jobs_in(&place.file()), 1);
}

#[tokio::test]
async fn readers_open_anew_though_nobody_writes() {
    let (place, new) = (Place::new(), backup().await);
    let backend = place.open().await;
    assert_eq!(count(&backend).await, 0);
    fs::rename(new.file(), place.file()).unwrap();
    assert_eq!(count(&backend).await, 1);
}
