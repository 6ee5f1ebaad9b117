//! Tests Q22: errors name the cause, return in bounded time, and leave the handle usable.

use std::time::{Duration, Instant};

use crate::common::{TestFolder, claim, count, insert, register, spec};
use queue_core::backend::{LeasesRequest, SettleRequest, Settlement, Verdict};
use queue_core::{Backend, ErrorKind};
use queue_sqlite::{SqliteBackend, SqliteConfig};

#[tokio::test]
async fn file_without_database_is_corrupt_and_unchanged() {
    let folder = TestFolder::new();
    let text = "not a database, but long enough to be read as the header of one. ".repeat(20);
    std::fs::write(folder.file(), &text).unwrap();
    let error = SqliteBackend::open(folder.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("is not an SQLite database"), "{error}");
    assert!(error.to_string().contains("jobs.db"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), text);
}

#[tokio::test]
async fn unwritable_folder_is_named_in_the_error() {
    let folder = TestFolder::new();
    std::fs::write(folder.file(), "").unwrap();
    for path in [
        "/proc/jobs.db".into(),
        folder.file().join("jobs.db"),
        folder.file().with_file_name("missing/jobs.db"),
    ] {
        let error = SqliteBackend::open(SqliteConfig::new(&path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.to_string().contains("folder must exist and be writable"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_fails_only_requests_that_need_space() {
    let folder = TestFolder::new();
    let backend = SqliteBackend::open(folder.config().max_file_bytes(400 << 10)).await.unwrap();
    let large = format!("\"{}\"", "x".repeat(500_000));
    let lock = folder.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let submit = |payload: String| {
        let backend = backend.clone();
        tokio::spawn(async move { insert(&backend, vec![spec(&payload)]).await })
    };
    let small: Vec<_> = (0..10).map(|_| submit("1".to_owned())).collect();
    let too_large = submit(large);
    let more: Vec<_> = (0..10).map(|_| submit("1".to_owned())).collect();
    lock.execute_batch("COMMIT").unwrap();
    for job in small.into_iter().chain(more) {
        job.await.unwrap().unwrap();
    }
    assert_eq!(too_large.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(count(&backend).await, 20);
}

#[tokio::test]
async fn request_behind_a_held_lock_times_out() {
    let folder = TestFolder::new();
    let wait = Duration::from_millis(200);
    let backend = SqliteBackend::open(folder.config().busy_wait(wait)).await.unwrap();
    let worker = register(&backend).await;
    let lock = folder.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let error = insert(&backend, vec![spec("1")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("transaction of this application"), "{error}");
    assert!(start.elapsed() >= wait, "{:?}", start.elapsed());
    // A claim without jobs does not need the lock.
    assert!(backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty());
    lock.execute_batch("COMMIT").unwrap();
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn open_of_a_locked_file_times_out() {
    let folder = TestFolder::new();
    let lock = folder.connection();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = SqliteBackend::open(folder.config().busy_wait(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    lock.execute_batch("COMMIT").unwrap();
    drop(lock);
    folder.open().await;
}

#[tokio::test]
async fn unreadable_job_does_not_block_claims() {
    for damage in [
        "UPDATE queue_live SET run_at = -5 WHERE seq = 1",
        "UPDATE queue_live SET attempt = -1 WHERE seq = 1",
        "UPDATE queue_live SET max_retries = 100000 WHERE seq = 1",
        "UPDATE queue_live SET id = x'00' WHERE seq = 1",
        "UPDATE queue_jobs SET backoff_base = -1, backoff_cap = 0, backoff_jitter = 0 WHERE seq = 1",
        "UPDATE queue_jobs SET payload = CAST(x'ff' AS TEXT) WHERE seq = 1",
        "DELETE FROM queue_jobs WHERE seq = 1",
    ] {
        let folder = TestFolder::new();
        let backend = folder.open().await;
        let worker = register(&backend).await;
        let urgent = spec("1").priority(9);
        insert(&backend, [urgent].into_iter().chain((0..9).map(|_| spec("1"))).collect()).await.unwrap();
        let connection = folder.connection();
        connection.execute_batch(damage).unwrap();
        for _ in 0..3 {
            let jobs = backend.claim(claim(worker, 1)).await.unwrap().jobs;
            assert_eq!(jobs.len(), 1, "{damage}");
        }
        assert_eq!(backend.claim(claim(worker, 10)).await.unwrap().jobs.len(), 6, "{damage}");
        assert!(backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty(), "{damage}");
        let state: i64 =
            connection.query_row("SELECT state FROM queue_live WHERE seq = 1", [], |row| row.get(0)).unwrap();
        assert_eq!(state, 1, "{damage}");
    }
}

#[tokio::test]
async fn unreadable_lease_hides_no_other_lease() {
    for damage in ["UPDATE queue_live SET attempt = -1 WHERE seq = 1", "DELETE FROM queue_jobs WHERE seq = 1"]
    {
        let folder = TestFolder::new();
        let backend = folder.open().await;
        let worker = register(&backend).await;
        insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
        let request = claim(worker, 3);
        let id = request.claim;
        backend.claim(request).await.unwrap();
        folder.connection().execute_batch(damage).unwrap();
        let leases = backend.leases(LeasesRequest::new(worker, id)).await.unwrap();
        assert_eq!(leases.len(), 2, "{damage}");
    }
}

#[tokio::test]
async fn missing_table_is_misconfigured() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    folder.connection().execute_batch("DROP TABLE queue_jobs").unwrap();
    assert_eq!(backend.claim(claim(worker, 1)).await.unwrap_err().kind(), ErrorKind::Misconfigured);
    assert_eq!(insert(&backend, vec![spec("1")]).await.unwrap_err().kind(), ErrorKind::Misconfigured);
}

#[tokio::test]
async fn repeated_attempt_error_is_stored_once() {
    let folder = TestFolder::new();
    let backend = folder.open().await;
    let worker = register(&backend).await;
    let job = insert(&backend, vec![spec("1")]).await.unwrap().remove(0).id;
    let held = backend.claim(claim(worker, 1)).await.unwrap().jobs.remove(0);
    let left = "INSERT INTO queue_attempt_errors (seq, attempt, at, error) VALUES (1, 1, 0, 'left over')";
    folder.connection().execute_batch(left).unwrap();
    let bury = Settlement::new(held.token, Verdict::Bury { error: "of this attempt".to_owned() });
    backend.settle(SettleRequest::new(worker, vec![bury])).await.unwrap().remove(0).unwrap();
    let record = backend.extensions().inspect.unwrap().jobs(&[job]).await.unwrap().remove(0).unwrap();
    let errors: Vec<&str> = record.errors.iter().map(|error| error.error.as_str()).collect();
    assert_eq!(errors, ["of this attempt"]);
}

#[tokio::test]
async fn open_of_a_required_missing_file_fails() {
    let folder = TestFolder::new();
    let url = format!("sqlite://{}?mode=rw", folder.file().display());
    let error = SqliteBackend::open(SqliteConfig::from_url(&url).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("there is no file, and none is created"), "{error}");
    assert!(!folder.file().exists());
    drop(folder.open().await);
    SqliteBackend::open(SqliteConfig::from_url(&url).unwrap()).await.unwrap();
}
