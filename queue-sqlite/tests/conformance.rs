//! The conformance suite on SQLite files.

mod faulty;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;
use queue_sqlite::SqliteBackend;
use queue_testkit::conformance::{self, Fault, FaultyStorage, SetupResult, Storage, Subject};
use tempfile::TempDir;

use faulty::{FAULTS, FaultyFile, patient, serve_as_locker};

struct Sqlite;

#[async_trait]
impl Subject for Sqlite {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let folder = TempDir::new()?;
        Ok(Arc::new(File { path: folder.path().join("jobs.db"), _folder: folder }))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(patient(address)).await?))
    }

    fn faults(&self) -> &'static [Fault] {
        FAULTS
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        Ok(Arc::new(FaultyFile::new(fault)?))
    }
}

struct File {
    path: PathBuf,
    _folder: TempDir,
}

#[async_trait]
impl Storage for File {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(patient(&self.path)).await?))
    }

    fn address(&self) -> Option<String> {
        self.path.to_str().map(str::to_owned)
    }
}

fn main() -> ExitCode {
    serve_as_locker().unwrap_or_else(|| conformance::main(Sqlite))
}
