//! Tests that a killed process leaves neither its server nor the server's folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn sigkill_ends_the_server_and_removes_its_folder() {
    let parent = crate::folder();
    let mut serving = serve(parent.path());
    let mut url = String::new();
    BufReader::new(serving.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    let folder = fs::read_dir(parent.path()).unwrap().next().unwrap().unwrap().path();
    let state = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let server = state.lines().next().unwrap();
    assert!(crate::is_running(server));

    serving.kill().unwrap();
    serving.wait().unwrap();

    wait_until("the server is gone", || !crate::is_running(server));
    wait_until("the folder is gone", || !folder.exists());
}

#[test]
fn sigkill_during_setup_removes_the_folder() {
    let parent = crate::folder();
    let mut serving = serve(parent.path());
    wait_until("initdb is at work", || {
        entries(parent.path()).any(|folder| folder.join("data/base").exists())
    });
    serving.kill().unwrap();
    serving.wait().unwrap();

    wait_until("the folder is gone", || entries(parent.path()).next().is_none());
}

/// Starts the program of this crate, which runs a server in a folder below `parent`.
fn serve(parent: &Path) -> Child {
    let mut program = Command::new(env!("CARGO_BIN_EXE_queue-testserver"));
    program.env("TMPDIR", parent).stdin(Stdio::piped()).stdout(Stdio::piped());
    program.spawn().unwrap()
}

fn entries(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path())
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
