//! Tests that `open` fails with a clear error if a file cannot be written. Root may write
//! everywhere, so a child process opens the handle, as another user if this process is root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use queue_core::ErrorKind;
use queue_sqlite::{SqliteBackend, SqliteConfig};
use tokio::time::timeout;

use crate::common::TestFolder;

const FILE: &str = "QUEUE_SQLITE_TEST_OPENS_WITHOUT_RIGHTS";
const MESSAGE: &str = "QUEUE_SQLITE_TEST_EXPECTED_MESSAGE";
/// Timeout of the tests.
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// Runs in a separate process.
#[tokio::test]
async fn child_that_opens_without_rights() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let expected = std::env::var(MESSAGE).unwrap();
    let opened = SqliteBackend::open(SqliteConfig::new(file)).await;
    match opened {
        Ok(_) => assert_eq!(expected, "opens"),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Misconfigured | ErrorKind::Unavailable), "{error:?}");
            assert!(error.to_string().contains(&expected), "{error:?}");
            assert!(error.to_string().contains("jobs.db"), "{error:?}");
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Opens the file in a process that has only the rights of the mode bits for other users.
fn opens_with(folder: &TestFolder, expected: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "rights::child_that_opens_without_rights", "--nocapture"]);
    command.env(FILE, folder.file()).env(MESSAGE, expected).env("TMPDIR", "/tmp");
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn every_file(folder: &TestFolder, mode: u32) {
    for entry in fs::read_dir(folder.path()).unwrap() {
        set_mode(&entry.unwrap().path(), mode);
    }
}

/// A closed file in a folder that every user may write.
async fn closed() -> TestFolder {
    let folder = TestFolder::new();
    drop(folder.open().await);
    set_mode(folder.path(), 0o777);
    every_file(&folder, 0o666);
    folder
}

#[tokio::test]
async fn open_of_a_writable_file_succeeds() {
    opens_with(&closed().await, "opens");
}

#[tokio::test]
async fn open_of_a_read_only_file_fails() {
    let folder = closed().await;
    every_file(&folder, 0o444);
    opens_with(&folder, "this program may not write to the file");
}

#[tokio::test]
async fn open_in_a_read_only_folder_fails() {
    let folder = closed().await;
    set_mode(folder.path(), 0o555);
    opens_with(&folder, "this program may not write to the file, to its folder, or to its log");
    set_mode(folder.path(), 0o777);
}

#[tokio::test]
async fn open_with_a_read_only_log_fails() {
    let folder = closed().await;
    let _open = folder.open().await;
    every_file(&folder, 0o666);
    set_mode(&folder.file().with_extension("db-wal"), 0o444);
    opens_with(&folder, "this program may not write to the file, to its folder, or to its log");
}

#[tokio::test]
async fn open_with_a_read_only_log_index_fails() {
    let folder = closed().await;
    let _open = folder.open().await;
    every_file(&folder, 0o666);
    set_mode(&folder.file().with_extension("db-shm"), 0o444);
    opens_with(&folder, "this program may not write to the file, to its folder, or to its log");
}

#[tokio::test]
async fn foreign_lock_does_not_delay_open() {
    let folder = TestFolder::new();
    drop(folder.open().await);
    let lock = folder.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let opening = SqliteBackend::open(folder.config().busy_wait(PATIENCE * 10));
    timeout(PATIENCE, opening).await.unwrap().unwrap();
}

#[tokio::test]
async fn relative_path_is_resolved_once() {
    let folder = TestFolder::new();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "rights::child_that_changes_its_folder"]);
    let status = command.env(FOLDER, "set").current_dir(folder.path()).status().unwrap();
    assert!(status.success());
    assert!(folder.file().exists());
}

const FOLDER: &str = "QUEUE_SQLITE_TEST_CHANGES_ITS_FOLDER";

/// Runs in a separate process.
#[tokio::test]
async fn child_that_changes_its_folder() {
    if std::env::var_os(FOLDER).is_none() {
        return;
    }
    let backend = SqliteBackend::open(SqliteConfig::new("jobs.db")).await.unwrap();
    std::env::set_current_dir("/").unwrap();
    crate::common::insert(&backend, vec![crate::common::spec("1")]).await.unwrap();
    assert_eq!(crate::common::count(&backend).await, 1);
}
