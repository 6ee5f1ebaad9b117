//! Tests with real servers, which are started, queried, stopped and killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod killed;
mod pgbouncer;
mod server;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use queue_testserver::Programs;
use tempfile::TempDir;

/// A folder for servers. For root, a server runs under another account, which needs access.
fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// Whether the process exists. A refused connection would prove less, because another process may
/// use the port.
fn is_running(process: &str) -> bool {
    // The `kill` of the shell, because not every system has the program.
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -0 \"$1\"", "sh", process]).stderr(Stdio::null()).status().unwrap().success()
}

/// The output of `psql` for a statement, without headings.
fn query(programs: &Programs, url: &str, statement: &str) -> String {
    let mut psql = programs.command("psql");
    let output = psql.arg(url).args(["-X", "-A", "-t", "-q", "-c", statement]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statement}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
