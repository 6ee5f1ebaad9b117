//! What a registry and its users need of the published crates.

use std::process::Command;

use anyhow::Result;

use super::compiler::verdict;
use crate::process::{capture, cargo};
use crate::report::Problem;
use crate::workspace::Workspace;

/// Packages each crate that may be published, and builds it from the package alone. So a file that
/// is included from outside of the crate is found.
pub(super) fn package(workspace: &Workspace) -> Vec<Problem> {
    let mut command = cargo(["package", "--locked", "--allow-dirty"]);
    for package in workspace.packages.iter().filter(|package| package.is_published()) {
        command.args(["--package", &package.name]);
    }
    verdict("package", &mut command)
}

/// Checks the published crates with the oldest Rust that their manifests name, if that toolchain is
/// installed.
pub(super) fn oldest_rust(workspace: &Workspace) -> Result<Vec<Problem>> {
    let published = || workspace.packages.iter().filter(|package| package.is_published());
    let Some(version) = published().find_map(|package| package.rust_version.clone()) else {
        return Ok(vec![Problem::of("Cargo.toml", "no published crate has a `rust-version`".to_owned())]);
    };
    let mut rustup = Command::new("rustup");
    let toolchain = capture(rustup.args(["run", &version, "cargo", "--version"]));
    if !toolchain.is_ok_and(|output| output.status.success()) {
        println!("Rust {version} is not installed: `rustup toolchain install {version}`");
        return Ok(Vec::new());
    }
    let mut command = Command::new("rustup");
    command.args(["run", &version, "cargo", "check", "--locked", "--all-features"]);
    // Apart from the files of the current toolchain.
    command.args(["--target-dir", "target/oldest-rust"]);
    for package in published() {
        command.args(["--package", &package.name]);
    }
    Ok(verdict("oldest Rust", &mut command))
}

/// Checks licences and sources of the dependencies by `deny.toml`, if `cargo deny` is installed.
pub(super) fn dependencies() -> Result<Vec<Problem>> {
    if !capture(&mut cargo(["deny", "--version"]))?.status.success() {
        println!("cargo-deny is not installed: `cargo install cargo-deny`");
        return Ok(Vec::new());
    }
    Ok(verdict("cargo deny", &mut cargo(["deny", "check", "bans", "licenses", "sources"])))
}
