//! `cargo xtask test`. What tests need around them, such as a database server, is started here before cargo.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::process::{cargo, stream};

/// Runs every test of the workspace; `args` go to each test program.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let started = Instant::now();
    // One failing program must not hide what the others would say.
    let mut command = cargo(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    stream(&mut command).context("not every test succeeded; what failed is named above")?;
    println!("test: every test program succeeded, {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}
