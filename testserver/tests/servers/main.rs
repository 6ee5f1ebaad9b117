//! Servers that are really started, asked, stopped and killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod killed;
mod pgbouncer;
mod server;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use queue_testserver::Programs;
use tempfile::TempDir;

/// A folder to make servers in. Run by root, these have another account, which must get through.
fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// Whether there is a process of this id. That its port refuses would say less: somebody else may have it since.
fn is_running(process: &str) -> bool {
    // The shell's own `kill`: the program of this name is not on every system.
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -0 \"$1\"", "sh", process]).stderr(Stdio::null()).status().unwrap().success()
}

/// What `psql` prints for a statement, without headings.
fn query(programs: &Programs, url: &str, statement: &str) -> String {
    let mut psql = programs.command("psql");
    let output = psql.arg(url).args(["-X", "-A", "-t", "-q", "-c", statement]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statement}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
