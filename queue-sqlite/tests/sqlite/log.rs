//! Tests that the write-ahead log is truncated after a long read.

use std::time::{Duration, Instant};

use queue_sqlite::SqliteBackend;

use crate::common::{TestFolder, count, insert, spec};

const LIMIT: u64 = 1 << 20;
/// Timeout of the test.
const PATIENCE: Duration = Duration::from_secs(60);

fn log_bytes(folder: &TestFolder) -> u64 {
    std::fs::metadata(folder.file().with_extension("db-wal")).unwrap().len()
}

/// Waits until the log is within the limit, without a request.
fn wait_for_a_short_log(folder: &TestFolder) {
    let deadline = Instant::now() + PATIENCE;
    while log_bytes(folder) > LIMIT {
        assert!(Instant::now() < deadline, "the log has {} bytes", log_bytes(folder));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn log_is_truncated_after_a_long_read() {
    let folder = TestFolder::new();
    let backend = SqliteBackend::open(folder.config().log_bytes(LIMIT)).await.unwrap();
    insert(&backend, vec![spec("1")]).await.unwrap();
    let reader = folder.connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM queue_jobs").unwrap();
    let large = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..60 {
        insert(&backend, vec![spec(&large)]).await.unwrap();
    }
    assert!(log_bytes(&folder) > 4 * LIMIT, "the reader keeps the log");
    reader.execute_batch("COMMIT").unwrap();
    wait_for_a_short_log(&folder);
    assert_eq!(count(&backend).await, 61);
}

#[tokio::test]
async fn open_truncates_a_long_log() {
    let folder = TestFolder::new();
    let first = SqliteBackend::open(folder.config()).await.unwrap();
    // Keeps the log at its path when the handle is closed.
    let reader = folder.connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM queue_jobs").unwrap();
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    insert(&first, (0..6).map(|_| spec(&large)).collect()).await.unwrap();
    drop(first);
    reader.execute_batch("COMMIT").unwrap();
    assert!(log_bytes(&folder) > 4 * LIMIT);
    let backend = SqliteBackend::open(folder.config().log_bytes(LIMIT)).await.unwrap();
    wait_for_a_short_log(&folder);
    assert_eq!(count(&backend).await, 6);
}
