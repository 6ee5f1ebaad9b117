//! `open` fails, and says so, where nothing can be written. Root may write everywhere, so that the
//! handle is opened in a child process, which is another user's if this one is root's.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use queue_core::ErrorKind;
use queue_sqlite::{SqliteBackend, SqliteConfig};
use tokio::time::timeout;

use crate::common::Place;

const FILE: &str = "QUEUE_SQLITE_TEST_OPENS_WITHOUT_RIGHTS";
const MESSAGE: &str = "QUEUE_SQLITE_TEST_EXPECTED_MESSAGE";
/// The longest wait for what is bound to happen.
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// Run by the tests below.
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

/// Opens the file in a process that only has the rights its mode bits give to all.
fn opens_with(place: &Place, expected: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "rights::child_that_opens_without_rights", "--nocapture"]);
    command.env(FILE, place.file()).env(MESSAGE, expected).env("TMPDIR", "/tmp");
    if fs::metadata(place.folder()).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn every_file(place: &Place, mode: u32) {
    for entry in fs::read_dir(place.folder()).unwrap() {
        set_mode(&entry.unwrap().path(), mode);
    }
}

/// A file that was closed, in a folder of everybody.
async fn closed() -> Place {
    let place = Place::new();
    drop(place.open().await);
    set_mode(place.folder(), 0o777);
    every_file(&place, 0o666);
    place
}

#[tokio::test]
async fn a_file_that_all_may_write_opens() {
    opens_with(&closed().await, "opens");
}

#[tokio::test]
async fn a_file_that_is_read_only_is_refused_at_open() {
    let place = closed().await;
    every_file(&place, 0o444);
    opens_with(&place, "this program may not write to the file");
}

#[tokio::test]
async fn a_folder_that_is_read_only_is_refused_at_open() {
    let place = closed().await;
    set_mode(place.folder(), 0o555);
    opens_with(&place, "this program may not write to the file, to its folder, or to its log");
    set_mode(place.folder(), 0o777);
}

#[tokio::test]
async fn a_log_that_is_read_only_is_refused_at_open() {
    let place = closed().await;
    let _open = place.open().await;
    every_file(&place, 0o666);
    set_mode(&place.file().with_extension("db-wal"), 0o444);
    opens_with(&place, "this program may not write to the file, to its folder, or to its log");
}

#[tokio::test]
async fn an_index_of_the_log_that_is_read_only_is_refused_at_open() {
    let place = closed().await;
    let _open = place.open().await;
    every_file(&place, 0o666);
    set_mode(&place.file().with_extension("db-shm"), 0o444);
    opens_with(&place, "this program may not write to the file, to its folder, or to its log");
}

#[tokio::test]
async fn a_lock_of_another_program_does_not_delay_an_open() {
    let place = Place::new();
    drop(place.open().await);
    let lock = place.connection();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let opening = SqliteBackend::open(place.config().busy_wait(PATIENCE * 10));
    timeout(PATIENCE, opening).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_relative_path_is_resolved_once() {
    let place = Place::new();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "rights::child_that_changes_its_folder"]);
    let status = command.env(FOLDER, "set").current_dir(place.folder()).status().unwrap();
    assert!(status.success());
    assert!(place.file().exists());
}

const FOLDER: &str = "QUEUE_SQLITE_TEST_CHANGES_ITS_FOLDER";

/// Run by the test above.
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
