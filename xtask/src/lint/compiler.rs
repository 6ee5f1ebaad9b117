//! Runs clippy and rustdoc on the whole workspace with warnings denied. They print their own
//! findings.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, stream};
use crate::report::Problem;

pub(super) fn clippy() -> Result<Vec<Problem>> {
    let everything = ["--workspace", "--all-targets", "--all-features"];
    // Otherwise a problem in one crate would hide the problems of other crates.
    let mut command = cargo(["clippy", "--locked", "--keep-going"]);
    Ok(verdict("clippy", command.args(everything).args(["--", "-D", "warnings"])))
}

pub(super) fn rustdoc() -> Result<Vec<Problem>> {
    let mut command =
        cargo(["doc", "--locked", "--keep-going", "--workspace", "--no-deps", "--all-features"]);
    Ok(verdict("rustdoc", command.env("RUSTDOCFLAGS", "-D warnings")))
}

pub(super) fn verdict(tool: &str, command: &mut Command) -> Vec<Problem> {
    match stream(command) {
        Ok(()) => Vec::new(),
        Err(error) => vec![Problem::of(tool, format!("{error:#}; its findings are above"))],
    }
}
