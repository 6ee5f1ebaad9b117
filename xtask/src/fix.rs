//! `cargo xtask fix`: the corrections that tools can make by themselves.

use anyhow::Result;

use crate::process::{cargo, stream};

/// Applies clippy's suggestions, then formats what they left.
pub(crate) fn run() -> Result<()> {
    // The point is to correct work in progress, which is not committed yet.
    let unfinished_work = ["--allow-dirty", "--allow-staged"];
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--fix"];
    stream(cargo(clippy).args(unfinished_work))?;
    stream(&mut cargo(["fmt", "--all"]))
}
