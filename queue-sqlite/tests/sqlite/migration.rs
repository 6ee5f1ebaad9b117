//! Tests Q21: concurrent migrations, older and newer programs, the application's tables.

use std::process::Command;
use std::sync::Arc;

use crate::common::{TestFolder, count, insert, spec};
use queue_core::{EnqueuerExt as _, ErrorKind, JobId, JobQueue};
use queue_sqlite::{SqliteBackend, SqliteConfig};

const CHILD: &str = "QUEUE_SQLITE_TEST_OPENS";

fn versions(folder: &TestFolder) -> Vec<i64> {
    let connection = folder.connection();
    let mut statement = connection.prepare("SELECT version FROM queue_migrations ORDER BY version").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn pretend(folder: &TestFolder, version: i64, oldest_compatible: i64) {
    let sql = "INSERT INTO queue_migrations VALUES (?1, 'from the future', 0, ?2)";
    folder.connection().execute(sql, [version, oldest_compatible]).unwrap();
}

#[tokio::test]
async fn repeated_open_migrates_once() {
    let folder = TestFolder::new();
    let first = folder.open().await;
    insert(&first, vec![spec("1")]).await.unwrap();
    drop(first);
    let second = folder.open().await;
    assert_eq!(count(&second).await, 1);
    assert_eq!(versions(&folder), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_opens_migrate_once() {
    let folder = TestFolder::new();
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(SqliteBackend::open(folder.config()))).collect();
    for opened in opening {
        insert(&opened.await.unwrap().unwrap(), vec![spec("1")]).await.unwrap();
    }
    assert_eq!(versions(&folder), [1]);
}

/// Runs in separate processes.
#[tokio::test]
async fn child_that_opens() {
    if let Some(file) = std::env::var_os(CHILD) {
        let backend = SqliteBackend::open(SqliteConfig::new(file)).await.unwrap();
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
}

#[tokio::test]
async fn concurrent_processes_migrate_once() {
    let folder = TestFolder::new();
    let program = std::env::current_exe().unwrap();
    let start = || {
        let arguments = ["--exact", "migration::child_that_opens"];
        Command::new(&program).args(arguments).env(CHILD, folder.file()).spawn().unwrap()
    };
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(versions(&folder), [1]);
    assert_eq!(count(&folder.open().await).await, 3);
}

#[tokio::test]
async fn newer_compatible_schema_is_served() {
    let folder = TestFolder::new();
    drop(folder.open().await);
    pretend(&folder, 2, 1);
    insert(&folder.open().await, vec![spec("1")]).await.unwrap();
    assert_eq!(versions(&folder), [1, 2]);
}

#[tokio::test]
async fn newer_incompatible_schema_is_refused() {
    let folder = TestFolder::new();
    drop(folder.open().await);
    pretend(&folder, 7, 5);
    let error = SqliteBackend::open(folder.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("version 7") && error.to_string().contains("version 5"), "{error}");
}

#[tokio::test]
async fn migration_keeps_application_tables_and_pragmas() {
    let folder = TestFolder::new();
    let application = folder.connection();
    application
        .execute_batch("PRAGMA user_version = 42; PRAGMA application_id = 7; CREATE TABLE jobs (id); INSERT INTO jobs VALUES (1)")
        .unwrap();
    insert(&folder.open().await, vec![spec("1")]).await.unwrap();
    let number = |sql: &str| application.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 42);
    assert_eq!(number("PRAGMA application_id"), 7);
    assert_eq!(number("SELECT count(*) FROM jobs"), 1);
    assert_eq!(number("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '%queue\\_%' ESCAPE '\\'"), 1);
}

#[tokio::test]
async fn overview_writes_ids_as_programs_do() {
    let folder = TestFolder::new();
    let jobs = JobQueue::new(Arc::new(folder.open().await));
    jobs.enqueue_values("resize", &Vec::from_iter(0..20)).await.unwrap();
    let connection = folder.connection();
    let mut statement = connection.prepare("SELECT ulid, id FROM queue_overview").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(String, [u8; 16])> = rows.map(Result::unwrap).collect();
    assert_eq!(rows.len(), 20);
    for (ulid, id) in rows {
        assert_eq!(ulid, JobId::from_bytes(id).to_string());
    }
}
