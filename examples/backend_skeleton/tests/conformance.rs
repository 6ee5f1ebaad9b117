//! The conformance suite on the skeleton.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use backend_skeleton::SkeletonBackend;
use queue_core::Backend;
use queue_testkit::conformance::{self, SetupResult, Storage, Subject};
use tempfile::TempDir;

pub(crate) struct Skeleton;

#[async_trait]
impl Subject for Skeleton {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(Folder(tempfile::tempdir()?)))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SkeletonBackend::open(address).await?))
    }
}

struct Folder(TempDir);

#[async_trait]
impl Storage for Folder {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(SkeletonBackend::open(self.file()).await?))
    }

    /// For the cases that kill processes, which use the file one after another.
    fn address(&self) -> Option<String> {
        self.file().to_str().map(str::to_owned)
    }
}

impl Folder {
    fn file(&self) -> PathBuf {
        self.0.path().join("jobs")
    }
}

fn main() -> ExitCode {
    conformance::main(Skeleton)
}
