//! Q22 on this backend: what goes wrong is said clearly, in bounded time, and the handle lives on.

use std::time::{Duration, Instant};

use crate::common::{Place, claim, count, insert, register, spec};
use queue_core::backend::{LeasesRequest, SettleRequest, Settlement, Verdict};
use queue_core::{Backend, ErrorKind};
use queue_sqlite::{SqliteBackend, SqliteConfig};

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let place = Place::new();
    let text = "not a database, but long enough to be read as the header of one. ".repeat(20);
    std::fs::write(place.file(), &text).unwrap();
    let error = SqliteBackend::open(place.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("is no SQLite database"), "{error}");
    assert!(error.to_string().contains("jobs.db"), "{error}");
    assert_eq!(std::fs::read_to_string(place.file()).unwrap(), text);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let place = Place::new();
    std::fs::write(place.file(), "").unwrap();
    for path in
        ["/proc/jobs.db".into(), place.file().join("jobs.db"), place.file().with_file_name("missing/jobs.db")]
    {
        let error = SqliteBackend::open(SqliteConfig::new(&path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.to_string().contains("folder must exist and be writable"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_only_those_that_need_space() {
    let place = Place::new();
    let backend = SqliteBackend::open(place.config().max_file_bytes(400 << 10)).await.unwrap();
    let large = format!("\"{}\"", "x".repeat(500_000));
    let lock = place.connection();
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
async fn a_lock_that_is_held_is_waited_for_no_longer_than_set() {
    let place = Place::new();
    let wait = Duration::from_millis(200);
    let backend = SqliteBackend::open(place.config().busy_wait(wait)).await.unwrap();
    let worker = register(&backend).await;
    let lock = place.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let error = insert(&backend, vec![spec("1")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("transaction of this application"), "{error}");
    assert!(start.elapsed() >= wait, "{:?}", start.elapsed());
    // What has nothing to write does not need the lock.
    assert!(backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty());
    lock.execute_batch("COMMIT").unwrap();
    insert(&backend, vec![spec("1")]).await.unwrap();
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test]
async fn opening_a_file_that_is_locked_ends_in_bounded_time() {
    let place = Place::new();
    let lock = place.connection();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = SqliteBackend::open(place.config().busy_wait(Duration::from_millis(100))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    lock.execute_batch("COMMIT").unwrap();
    drop(lock);
    place.open().await;
}

#[tokio::test]
async fn a_job_that_cannot_be_read_stands_in_no_others_way() {
    for damage in [
        "UPDATE queue_live SET run_at = -5 WHERE seq = 1",
        "UPDATE queue_live SET attempt = -1 WHERE seq = 1",
        "UPDATE queue_live SET max_retries = 100000 WHERE seq = 1",
        "UPDATE queue_live SET id = x'00' WHERE seq = 1",
        "UPDATE queue_jobs SET backoff_base = -1, backoff_cap = 0, backoff_jitter = 0 WHERE seq = 1",
        "UPDATE queue_jobs SET payload = CAST(x'ff' AS TEXT) WHERE seq = 1",
        "DELETE FROM queue_jobs WHERE seq = 1",
    ] {
        let place = Place::new();
        let backend = place.open().await;
        let worker = register(&backend).await;
        let urgent = spec("1").priority(9);
        insert(&backend, [urgent].into_iter().chain((0..9).map(|_| spec("1"))).collect()).await.unwrap();
        let vandal = place.connection();
        vandal.execute_batch(damage).unwrap();
        for _ in 0..3 {
            let jobs = backend.claim(claim(worker, 1)).await.unwrap().jobs;
            assert_eq!(jobs.len(), 1, "{damage}");
        }
        assert_eq!(backend.claim(claim(worker, 10)).await.unwrap().jobs.len(), 6, "{damage}");
        assert!(backend.claim(claim(worker, 10)).await.unwrap().jobs.is_empty(), "{damage}");
        let state: i64 =
            vandal.query_row("SELECT state FROM queue_live WHERE seq = 1", [], |row| row.get(0)).unwrap();
        assert_eq!(state, 1, "{damage}");
    }
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_hides_no_other() {
    for damage in ["UPDATE queue_live SET attempt = -1 WHERE seq = 1", "DELETE FROM queue_jobs WHERE seq = 1"]
    {
        let place = Place::new();
        let backend = place.open().await;
        let worker = register(&backend).await;
        insert(&backend, (0..3).map(|_| spec("1")).collect()).await.unwrap();
        let request = claim(worker, 3);
        let id = request.claim;
        backend.claim(request).await.unwrap();
        place.connection().execute_batch(damage).unwrap();
        let leases = backend.leases(LeasesRequest::new(worker, id)).await.unwrap();
        assert_eq!(leases.len(), 2, "{damage}");
    }
}

#[tokio::test]
async fn tables_that_are_not_as_they_should_be_are_an_error_and_no_panic() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    insert(&backend, vec![spec("1")]).await.unwrap();
    place.connection().execute_batch("DROP TABLE queue_jobs").unwrap();
    assert_eq!(backend.claim(claim(worker, 1)).await.unwrap_err().kind(), ErrorKind::Misconfigured);
    assert_eq!(insert(&backend, vec![spec("1")]).await.unwrap_err().kind(), ErrorKind::Misconfigured);
}

#[tokio::test]
async fn an_attempt_has_one_error_however_often_it_is_recorded() {
    let place = Place::new();
    let backend = place.open().await;
    let worker = register(&backend).await;
    let job = insert(&backend, vec![spec("1")]).await.unwrap().remove(0).id;
    let held = backend.claim(claim(worker, 1)).await.unwrap().jobs.remove(0);
    let left = "INSERT INTO queue_attempt_errors (seq, attempt, at, error) VALUES (1, 1, 0, 'left over')";
    place.connection().execute_batch(left).unwrap();
    let bury = Settlement::new(held.token, Verdict::Bury { error: "of this attempt".to_owned() });
    backend.settle(SettleRequest::new(worker, vec![bury])).await.unwrap().remove(0).unwrap();
    let record = backend.extensions().inspect.unwrap().jobs(&[job]).await.unwrap().remove(0).unwrap();
    let errors: Vec<&str> = record.errors.iter().map(|error| error.error.as_str()).collect();
    assert_eq!(errors, ["of this attempt"]);
}

#[tokio::test]
async fn a_file_that_must_exist_is_not_created() {
    let place = Place::new();
    let url = format!("sqlite://{}?mode=rw", place.file().display());
    let error = SqliteBackend::open(SqliteConfig::from_url(&url).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("there is no file, and none is created"), "{error}");
    assert!(!place.file().exists());
    drop(place.open().await);
    SqliteBackend::open(SqliteConfig::from_url(&url).unwrap()).await.unwrap();
}
