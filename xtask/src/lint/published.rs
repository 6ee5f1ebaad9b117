//! What a registry and its users need of the published crates.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::compiler::verdict;
use crate::process::{capture, cargo, stream};
use crate::report::Problem;
use crate::workspace::{Package, Workspace};

/// Packages each crate that may be published, and checks the packages as one workspace. So a file
/// that is included from outside of its crate is found.
///
/// `cargo package` can check them too, but keeps the unpacked packages of an earlier run if their
/// version is the same.
pub(super) fn package(workspace: &Workspace) -> Result<Vec<Problem>> {
    let published: Vec<&Package> = workspace.packages.iter().filter(|p| p.is_published()).collect();
    let mut command = cargo(["package", "--locked", "--allow-dirty", "--no-verify"]);
    for package in &published {
        command.args(["--package", &package.name]);
    }
    let problems = verdict("package", &mut command);
    if !problems.is_empty() {
        return Ok(problems);
    }
    let folder = workspace.root.join("target/unpacked");
    unpack(workspace, &published, &folder)?;
    let mut check = cargo(["check", "--workspace", "--all-features", "--target-dir", "target"]);
    Ok(verdict("check of the packages", check.arg("--manifest-path").arg(folder.join("Cargo.toml"))))
}

fn unpack(workspace: &Workspace, published: &[&Package], folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let (mut members, mut patches) = (String::new(), String::new());
    for Package { name, version, .. } in published {
        let file = workspace.root.join(format!("target/package/{name}-{version}.crate"));
        stream(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(folder))?;
        members += &format!("\"{name}-{version}\", ");
        patches += &format!("{name} = {{ path = \"{name}-{version}\" }}\n");
    }
    let own = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    // With the profiles of the workspace, so that the dependencies are not compiled again.
    let profiles = own.find("[profile.").map_or("", |start| &own[start..]);
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n{patches}\n{profiles}"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    // The same versions of the dependencies.
    fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
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
