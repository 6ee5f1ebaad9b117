//! Tests which URL opens which backend.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use queue::{DATABASE_URL_VARIABLE, EnqueuerExt, ErrorKind, JobQueue, connect, connect_from_env};
use queue_core::testing::drop_after;

#[tokio::test]
async fn unknown_scheme_is_named_in_the_error() {
    let error = connect("ftp://somewhere/jobs").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`ftp:`"), "{error}");
    let error = connect("").await.unwrap_err();
    assert!(error.to_string().contains("the URL is empty"), "{error}");
}

#[tokio::test]
async fn plain_path_opens_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let jobs = connect(path.to_str().unwrap()).await.unwrap();
    let id = jobs.enqueue_value("greet", "ada").await.unwrap();
    let again = connect(&format!("sqlite://{}", path.display())).await.unwrap();
    assert!(again.inspect().unwrap().jobs(&[id]).await.unwrap()[0].is_some());
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn postgres_url_opens_a_schema() {
    let server = queue_testserver::url().unwrap();
    let separator = if server.contains('?') { '&' } else { '?' };
    let name = format!("facade_{}", queue::JobId::generate().to_string().to_lowercase());
    let url = format!("{server}{separator}schema={name}");
    let id = connect(&url).await.unwrap().enqueue_value("greet", "ada").await.unwrap();
    let again = connect(&url).await.unwrap();
    assert!(again.inspect().unwrap().jobs(&[id]).await.unwrap()[0].is_some());
    let error = connect("postgres://ada:secret@127.0.0.1:1/nowhere").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn sqlite_file_is_created_and_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let id = connect(&url).await.unwrap().enqueue_value("greet", "ada").await.unwrap();
    let again = connect(&url).await.unwrap();
    assert!(again.inspect().unwrap().jobs(&[id]).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn jobs_share_a_file_with_application_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let application = queue::sqlite::rusqlite::Connection::open(&path).unwrap();
    application
        .execute_batch(
            "PRAGMA user_version = 7; CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')",
        )
        .unwrap();
    let jobs = connect(&format!("sqlite://{}", path.display())).await.unwrap();
    jobs.enqueue_value("greet", "ada").await.unwrap();
    drop(jobs);
    let version: i64 = application.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let note: String = application.query_row("SELECT text FROM notes", [], |row| row.get(0)).unwrap();
    assert_eq!((version, note.as_str()), (7, "mine"));
    let foreign_tables = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'queue!_%' ESCAPE '!' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'";
    let foreign: i64 = application.query_row(foreign_tables, [], |row| row.get(0)).unwrap();
    assert_eq!(foreign, 1, "besides the application's table everything is named queue_…");
}

/// Drops the future of `connect` at each of its polls. Checks that the last call works.
async fn assert_connects_after_drops<F>(connect: impl Fn() -> F)
where
    F: Future<Output = queue::Result<JobQueue>>,
{
    let mut polls = 0;
    let jobs = loop {
        if let Some(opened) = drop_after(polls, connect()).await {
            break opened.unwrap();
        }
        polls += 1;
    };
    jobs.enqueue_value("greet", "ada").await.unwrap();
}

#[tokio::test]
async fn dropped_connect_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    assert_connects_after_drops(|| connect(&url)).await;
}

/// Runs in a separate process, whose environment is set.
#[tokio::test]
async fn dropped_connect_from_env_can_be_repeated() {
    const CHILD: &str = "QUEUE_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return assert_connects_after_drops(connect_from_env).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("jobs.db").display());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "dropped_connect_from_env_can_be_repeated"]);
    let ended = child.env(CHILD, "1").env(DATABASE_URL_VARIABLE, url).status().unwrap();
    assert!(ended.success());
    assert!(
        folder.path().join("jobs.db").exists(),
        "the child has opened the file that its environment names"
    );
}
