//! The conformance suite on SQLite files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::Backend;
use queue_sqlite::{SqliteBackend, SqliteConfig};
use queue_testkit::conformance::{self, SetupResult, Storage, Subject};
use tempfile::TempDir;

struct Sqlite;

#[async_trait]
impl Subject for Sqlite {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let folder = TempDir::new()?;
        Ok(Arc::new(File { path: folder.path().join("jobs.db"), _folder: folder }))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(SqliteConfig::new(address)).await?))
    }
}

struct File {
    path: PathBuf,
    _folder: TempDir,
}

#[async_trait]
impl Storage for File {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SqliteBackend::open(SqliteConfig::new(&self.path)).await?))
    }

    fn address(&self) -> Option<String> {
        self.path.to_str().map(str::to_owned)
    }
}

fn main() -> ExitCode {
    conformance::main(Sqlite)
}
