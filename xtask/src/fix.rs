//! `cargo xtask fix`: applies the corrections of tools.

use anyhow::Result;

use crate::process::{cargo, stream};

/// Applies clippy's suggestions, then formats the code.
pub(crate) fn run() -> Result<()> {
    // Because `fix` is for uncommitted work.
    let unfinished_work = ["--allow-dirty", "--allow-staged"];
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--fix"];
    stream(cargo(clippy).args(unfinished_work))?;
    stream(&mut cargo(["fmt", "--all"]))
}
