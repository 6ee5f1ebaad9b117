//! The packages and files of the workspace, from cargo and git.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The packages of the workspace and the files under version control.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
    /// Paths relative to the root, with `/` as separator.
    pub(crate) tracked: Vec<String>,
}

/// The used fields of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Each feature with the features it enables.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
    pub(crate) rust_version: Option<String>,
    /// The registries that it may be published to; `None` means any.
    pub(crate) publish: Option<Vec<String>>,
}

impl Package {
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }
}

/// A target of a package: a library, a program, an example, a test.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    /// The absolute path of its root file.
    pub(crate) src_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    packages: Vec<Package>,
}

impl Workspace {
    /// Reads the workspace of the working directory.
    pub(crate) fn load() -> Result<Self> {
        let json = process::read(&mut process::cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
        let Metadata { workspace_root: root, packages } =
            serde_json::from_str(&json).context("failed to read the answer of `cargo metadata`")?;

        let listing = process::read(Command::new("git").arg("-C").arg(&root).args(["ls-files", "-z"]))?;
        // git also lists files that were deleted but not committed.
        let tracked = listing.split_terminator('\0').filter(|path| root.join(path).exists());
        Ok(Self { tracked: tracked.map(str::to_owned).collect(), packages, root })
    }

    /// The tracked files whose name has one of these extensions.
    pub(crate) fn with_extension(&self, extensions: &[&str]) -> impl Iterator<Item = &str> {
        let wanted = move |path: &&str| path.rsplit_once('.').is_some_and(|(_, e)| extensions.contains(&e));
        self.tracked.iter().map(String::as_str).filter(wanted)
    }

    /// The text of a tracked file.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("failed to read {path}"))
    }
}
