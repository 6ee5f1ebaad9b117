//! A file behind a flaw, and the address by which a child process finds both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;
use queue_sqlite::SqliteBackend;
use queue_testkit::conformance::{SetupResult, Storage, Subject};
use tempfile::TempDir;

use crate::MUTANTS;
use crate::counter::Counter;
use crate::flaws::{Flawed, Make};

/// A mutant as a subject of the suite.
pub(crate) struct Killed {
    name: &'static str,
    make: Option<Make>,
    counter: Counter,
}

impl Killed {
    pub(crate) fn new(name: &'static str, make: Make, counter: &Path) -> Self {
        Self { name, make: Some(make), counter: Counter::new(counter) }
    }

    /// In a child process, where only the address says which mutant it is.
    pub(crate) fn child() -> Self {
        Self { name: "", make: None, counter: Counter::new(Path::new("")) }
    }
}

#[async_trait]
impl Subject for Killed {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let folder = TempDir::new()?;
        let path = folder.path().join("jobs.db");
        let make = self.make.ok_or("a child creates no storage")?;
        Ok(Arc::new(File { name: self.name, make, path, counter: self.counter.clone(), _folder: folder }))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        let mut parts = address.split('\n');
        let mut part = || parts.next().ok_or("the address has three parts");
        let (name, path, counter) = (part()?, part()?, part()?);
        let mutant = MUTANTS.iter().find(|mutant| mutant.name == name).ok_or("no such mutant")?;
        open(mutant.make, Path::new(path), Counter::new(Path::new(counter))).await
    }
}

struct File {
    name: &'static str,
    make: Make,
    path: PathBuf,
    counter: Counter,
    _folder: TempDir,
}

#[async_trait]
impl Storage for File {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        open(self.make, &self.path, self.counter.clone()).await
    }

    fn address(&self) -> Option<String> {
        Some(format!("{}\n{}\n{}", self.name, self.path.display(), self.counter.path().display()))
    }
}

async fn open(make: Make, path: &Path, counter: Counter) -> SetupResult<Arc<dyn Backend>> {
    let sound = SqliteBackend::open(queue_sqlite::SqliteConfig::new(path)).await?;
    Ok(Arc::new(Flawed { sound, flaw: make(), counter, path: path.to_owned() }))
}
