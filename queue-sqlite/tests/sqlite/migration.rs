//! Q21 on this backend: many at once, old and new programs, the application's tables beside ours.

use std::process::Command;

use crate::common::{Place, count, insert, spec};
use queue_core::ErrorKind;
use queue_sqlite::{SqliteBackend, SqliteConfig};

const CHILD: &str = "QUEUE_SQLITE_TEST_OPENS";

fn versions(place: &Place) -> Vec<i64> {
    let connection = place.connection();
    let mut statement = connection.prepare("SELECT version FROM queue_migrations ORDER BY version").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn pretend(place: &Place, version: i64, oldest_compatible: i64) {
    let sql = "INSERT INTO queue_migrations VALUES (?1, 'from the future', 0, ?2)";
    place.connection().execute(sql, [version, oldest_compatible]).unwrap();
}

#[tokio::test]
async fn a_file_is_migrated_once_however_often_it_is_opened() {
    let place = Place::new();
    let first = place.open().await;
    insert(&first, vec![spec("1")]).await.unwrap();
    drop(first);
    let second = place.open().await;
    assert_eq!(count(&second).await, 1);
    assert_eq!(versions(&place), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_handles_that_open_at_once_end_at_one_version() {
    let place = Place::new();
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(SqliteBackend::open(place.config()))).collect();
    for opened in opening {
        insert(&opened.await.unwrap().unwrap(), vec![spec("1")]).await.unwrap();
    }
    assert_eq!(versions(&place), [1]);
}

/// Run by the test below, in processes of their own.
#[tokio::test]
async fn child_that_opens() {
    if let Some(file) = std::env::var_os(CHILD) {
        let backend = SqliteBackend::open(SqliteConfig::new(file)).await.unwrap();
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
}

#[tokio::test]
async fn processes_that_open_at_once_end_at_one_version() {
    let place = Place::new();
    let program = std::env::current_exe().unwrap();
    let start = || {
        let arguments = ["--exact", "migration::child_that_opens"];
        Command::new(&program).args(arguments).env(CHILD, place.file()).spawn().unwrap()
    };
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(versions(&place), [1]);
    assert_eq!(count(&place.open().await).await, 3);
}

#[tokio::test]
async fn a_newer_schema_that_is_compatible_is_served() {
    let place = Place::new();
    drop(place.open().await);
    pretend(&place, 2, 1);
    insert(&place.open().await, vec![spec("1")]).await.unwrap();
    assert_eq!(versions(&place), [1, 2]);
}

#[tokio::test]
async fn a_newer_schema_that_is_not_compatible_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    pretend(&place, 7, 5);
    let error = SqliteBackend::open(place.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("version 7") && error.to_string().contains("version 5"), "{error}");
}

#[tokio::test]
async fn the_application_keeps_what_is_its_own() {
    let place = Place::new();
    let application = place.connection();
    application
        .execute_batch("PRAGMA user_version = 42; PRAGMA application_id = 7; CREATE TABLE jobs (id); INSERT INTO jobs VALUES (1)")
        .unwrap();
    insert(&place.open().await, vec![spec("1")]).await.unwrap();
    let number = |sql: &str| application.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 42);
    assert_eq!(number("PRAGMA application_id"), 7);
    assert_eq!(number("SELECT count(*) FROM jobs"), 1);
    assert_eq!(number("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '%queue\\_%' ESCAPE '\\'"), 1);
}
