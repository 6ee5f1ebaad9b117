//! What the tests of this crate share.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use queue_testserver::Programs;
use tempfile::TempDir;

/// A folder to make servers in. Run by root, these have another account, which must get through.
pub fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// What `psql` prints for a statement, without headings.
pub fn query(programs: &Programs, url: &str, statement: &str) -> String {
    let mut psql = programs.command("psql");
    let output = psql.arg(url).args(["-X", "-A", "-t", "-q", "-c", statement]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statement}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
