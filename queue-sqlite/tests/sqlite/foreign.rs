//! Tables of an application that have the names of ours.

use queue_core::ErrorKind;
use queue_sqlite::SqliteBackend;

use crate::common::Place;

#[tokio::test]
async fn tables_of_an_application_with_our_names_are_a_conflict() {
    for (sql, table) in [
        ("CREATE TABLE queue_jobs (id INTEGER, body TEXT)", "queue_jobs"),
        ("CREATE TABLE Queue_Workers (id INTEGER)", "Queue_Workers"),
        ("CREATE VIEW queue_overview AS SELECT 1", "queue_overview"),
        ("CREATE TABLE queue_migrations (id INTEGER, run_on TEXT)", "queue_migrations"),
    ] {
        let place = Place::new();
        place.connection().execute_batch(sql).unwrap();
        let error = SqliteBackend::open(place.config()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(error.to_string().contains(&format!("`{table}`")), "{error}");
        assert!(error.to_string().len() < 250 && !format!("{error:?}").contains("CREATE"), "{error:?}");
    }
}

#[tokio::test]
async fn tables_with_other_names_of_the_same_beginning_are_left_alone() {
    let place = Place::new();
    place.connection().execute_batch("CREATE TABLE queue_of_customers (id INTEGER)").unwrap();
    place.open().await;
}
