//! The file of the write-ahead log is short again after a long reader.

use std::time::{Duration, Instant};

use queue_sqlite::SqliteBackend;

use crate::common::{Place, count, insert, spec};

const LIMIT: u64 = 1 << 20;
/// The longest wait for what is bound to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn log_bytes(place: &Place) -> u64 {
    std::fs::metadata(place.file().with_extension("db-wal")).unwrap().len()
}

/// Waits until the log is within the limit. Nothing is asked of the handle meanwhile.
fn wait_for_a_short_log(place: &Place) {
    let deadline = Instant::now() + PATIENCE;
    while log_bytes(place) > LIMIT {
        assert!(Instant::now() < deadline, "the log has {} bytes", log_bytes(place));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn the_log_is_short_again_after_a_long_reader_though_nothing_is_written() {
    let place = Place::new();
    let backend = SqliteBackend::open(place.config().log_bytes(LIMIT)).await.unwrap();
    insert(&backend, vec![spec("1")]).await.unwrap();
    let reader = place.connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM queue_jobs").unwrap();
    let large = format!("\"{}\"", "x".repeat(100_000));
    for _ in 0..60 {
        insert(&backend, vec![spec(&large)]).await.unwrap();
    }
    assert!(log_bytes(&place) > 4 * LIMIT, "the reader keeps the log");
    reader.execute_batch("COMMIT").unwrap();
    wait_for_a_short_log(&place);
    assert_eq!(count(&backend).await, 61);
}

#[tokio::test]
async fn a_long_log_that_was_left_is_short_after_an_open() {
    let place = Place::new();
    let first = SqliteBackend::open(place.config()).await.unwrap();
    // Keeps the log in its place when the handle is closed.
    let reader = place.connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM queue_jobs").unwrap();
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    insert(&first, (0..6).map(|_| spec(&large)).collect()).await.unwrap();
    drop(first);
    reader.execute_batch("COMMIT").unwrap();
    assert!(log_bytes(&place) > 4 * LIMIT);
    let backend = SqliteBackend::open(place.config().log_bytes(LIMIT)).await.unwrap();
    wait_for_a_short_log(&place);
    assert_eq!(count(&backend).await, 6);
}
