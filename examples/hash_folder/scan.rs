//! Finds the files of a folder.

use std::path::{Path, PathBuf};

use queue_examples::Result;
use walkdir::{DirEntry, WalkDir};

/// Skipped folders, because programs generate their content.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// The files of a folder, in the order of their paths.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) files: Vec<PathBuf>,
    /// The files that could not be used, and why.
    pub(crate) problems: Vec<String>,
}

/// The absolute path of the folder, which identifies it for each spelling.
pub(crate) fn resolve(folder: &Path) -> Result<PathBuf> {
    let resolved = folder
        .canonicalize()
        .map_err(|error| format!("failed to open the folder `{}`: {error}", folder.display()))?;
    if !resolved.is_dir() {
        return Err(format!("failed to open the folder `{}`: it is not a folder", folder.display()).into());
    }
    Ok(resolved)
}

/// All regular files below `folder`, without those of `database`. Symbolic links are skipped, so
/// that no file counts twice and no loop is possible.
pub(crate) fn scan(folder: &Path, database: &Path) -> Result<Scan> {
    let mut scan = Scan::default();
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(is_wanted);
    for entry in entries {
        match entry {
            Ok(entry) if !entry.file_type().is_file() || is_part_of(database, entry.path()) => {}
            Ok(entry) if entry.path().to_str().is_none() => {
                scan.problems.push(format!("`{}`: its name is not Unicode", entry.path().display()));
            }
            Ok(entry) => scan.files.push(entry.into_path()),
            Err(error) => scan.problems.push(error.to_string()),
        }
    }
    if scan.files.is_empty() {
        let reason = scan.problems.first().map(|problem| format!(" ({problem})")).unwrap_or_default();
        let fault = format!("failed to find work: there is no file in `{}`{reason}", folder.display());
        return Err(fault.into());
    }
    Ok(scan)
}

fn is_wanted(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !LEFT_OUT.iter().any(|name| entry.file_name() == *name)
}

/// Whether this is the database or one of its files, which change while they are read.
fn is_part_of(database: &Path, file: &Path) -> bool {
    file.parent() == database.parent() && file.to_string_lossy().starts_with(&*database.to_string_lossy())
}
