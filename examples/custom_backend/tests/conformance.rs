//! The conformance suite on a redb file.

mod faulty;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use custom_backend::RedbBackend;
use queue_core::Backend;
use queue_testkit::conformance::{self, Fault, FaultyStorage, SetupResult, Storage, Subject};
use tempfile::TempDir;

use faulty::{FAULTS, FaultyDisk};

struct Redb;

#[async_trait]
impl Subject for Redb {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(Folder(tempfile::tempdir()?)))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(RedbBackend::open(address).await?))
    }

    fn faults(&self) -> &'static [Fault] {
        FAULTS
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        Ok(Arc::new(FaultyDisk::new(fault)))
    }
}

struct Folder(TempDir);

#[async_trait]
impl Storage for Folder {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(RedbBackend::open(self.file()).await?))
    }

    /// For the cases that kill processes, which use the file one after another.
    fn address(&self) -> Option<String> {
        self.file().to_str().map(str::to_owned)
    }
}

impl Folder {
    fn file(&self) -> PathBuf {
        self.0.path().join("jobs.redb")
    }
}

fn main() -> ExitCode {
    conformance::main(Redb)
}
