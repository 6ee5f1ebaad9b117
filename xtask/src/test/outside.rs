//! The programs outside of the workspace, which resolve their dependencies as those of users do.

use anyhow::{Context, Result};

use super::failures::Failures;
use crate::process::{cargo, stream_lines};

/// The folders, with the features of each run.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("adapters", &["--workspace", "--all-features"]),
    ("examples/shop", &[]),
    ("examples/shop", &["--no-default-features", "--features", "postgres"]),
    ("outside/diesel", &[]),
    ("outside/sea_orm", &[]),
    ("outside/oldest_rusqlite", &[]),
];

/// One folder for all, because they share most of their dependencies.
const TARGET: &str = "target/outside";

/// Runs the tests of each program. `server` is the variable with the address of PostgreSQL.
pub(super) fn test(server: Option<(&str, &str)>, failures: &mut Failures) -> Result<()> {
    let mut outcome = Ok(());
    for (folder, features) in PROGRAMS {
        println!("test: {folder} {}", features.join(" "));
        let manifest = format!("{folder}/Cargo.toml");
        let mut command =
            cargo(["test", "--no-fail-fast", "--manifest-path", &manifest, "--target-dir", TARGET]);
        // As in this workspace: more debug information takes longer to write than to compile.
        command.args(*features).envs(server).env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        let tested = stream_lines(&mut command, |line| failures.read(line));
        outcome = outcome.and(tested.with_context(|| format!("{folder} failed")));
    }
    outcome
}
