//! Searches for the programs of a PostgreSQL server.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, path};

use anyhow::{Context, Result, bail};

/// Environment variable with the folder of the programs.
const VARIABLE: &str = "QUEUE_TEST_POSTGRES_BIN";

/// The programs that a folder must contain.
const NEEDED: [&str; 2] = ["initdb", "postgres"];

/// The folders of packages, relative to the root; `*` is a part of a name with the version.
const USUAL: [&str; 6] = [
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
];

/// The inputs of a search.
#[derive(Debug)]
pub(crate) struct Search {
    chosen: Option<OsString>,
    path: OsString,
    root: PathBuf,
}

impl Search {
    pub(crate) fn of_this_system() -> Self {
        let chosen = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        Self { chosen, path: env::var_os("PATH").unwrap_or_default(), root: PathBuf::from("/") }
    }

    /// The first folder with all needed programs. Fails if the chosen folder lacks one.
    pub(crate) fn find(&self) -> Result<Option<PathBuf>> {
        if let Some(chosen) = &self.chosen {
            let folder = path::absolute(chosen).with_context(|| format!("failed to read {VARIABLE}"))?;
            if let Some(name) = missing(&folder) {
                bail!("{VARIABLE} names {}, where there is no {name}", folder.display());
            }
            return Ok(Some(folder));
        }
        let usual = USUAL.iter().flat_map(|pattern| matches(&self.root, pattern));
        // A relative path is skipped, because the programs run in another working directory.
        let path = env::split_paths(&self.path).filter(|folder| folder.is_absolute());
        let mut candidates = path.flat_map(behind_links).chain(usual);
        Ok(candidates.find(|folder| missing(folder).is_none()))
    }
}

/// The folder itself and the folders that its links lead to, because some folders contain only
/// links to one program.
fn behind_links(folder: PathBuf) -> Vec<PathBuf> {
    let real = NEEDED.iter().filter_map(|name| fs::canonicalize(folder.join(name)).ok());
    let mut folders: Vec<PathBuf> =
        real.filter_map(|program| Some(program.parent()?.to_path_buf())).collect();
    folders.push(folder);
    folders
}

fn missing(folder: &Path) -> Option<&'static str> {
    NEEDED.into_iter().find(|name| !folder.join(name).is_file())
}

/// The folders that match a pattern with at most one `*`, newest version first.
fn matches(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![root.to_path_buf()];
    for part in pattern.split('/') {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((head, tail)) => found.iter().flat_map(|folder| versions(folder, head, tail)).collect(),
        };
    }
    found
}

fn versions(folder: &Path, head: &str, tail: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with(head) && name.ends_with(tail)).collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names.iter().map(|name| folder.join(name)).collect()
}

/// The numbers in a name: `postgresql@9.6` is version 9, 6.
fn version(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
