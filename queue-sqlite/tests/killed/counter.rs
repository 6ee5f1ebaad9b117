//! A count that child processes and their parent share.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Counts in a file how often the flaw was reached, because that happens in child processes.
#[derive(Debug, Clone)]
pub(crate) struct Counter(PathBuf);

impl Counter {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn reached(&self) {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
        file.write_all(b".").unwrap();
    }
}
