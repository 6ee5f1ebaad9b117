//! Tests files in which the application uses table names of the queue.

use queue_core::ErrorKind;
use queue_sqlite::SqliteBackend;

use crate::common::TestFolder;

#[tokio::test]
async fn application_table_with_a_queue_name_is_conflict() {
    for (sql, table) in [
        ("CREATE TABLE queue_jobs (id INTEGER, body TEXT)", "queue_jobs"),
        ("CREATE TABLE Queue_Workers (id INTEGER)", "Queue_Workers"),
        ("CREATE VIEW queue_overview AS SELECT 1", "queue_overview"),
        ("CREATE TABLE queue_migrations (id INTEGER, run_on TEXT)", "queue_migrations"),
    ] {
        let folder = TestFolder::new();
        folder.connection().execute_batch(sql).unwrap();
        let error = SqliteBackend::open(folder.config()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(error.to_string().contains(&format!("`{table}`")), "{error}");
        assert!(error.to_string().len() < 250 && !format!("{error:?}").contains("CREATE"), "{error:?}");
    }
}

#[tokio::test]
async fn application_table_with_queue_prefix_is_unchanged() {
    let folder = TestFolder::new();
    folder.connection().execute_batch("CREATE TABLE queue_of_customers (id INTEGER)").unwrap();
    folder.open().await;
}
