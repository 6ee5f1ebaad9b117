//! Helpers of the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::{ClaimRequest, InsertRequest, RegisterRequest};
use queue_core::{Backend, ClaimId, JobId, JobSpec, Kind, Payload, QueueName, Result, Submitted, WorkerId};
use queue_sqlite::{SqliteBackend, SqliteConfig};
use tempfile::TempDir;

/// A folder that is removed after the test.
pub(crate) struct TestFolder(TempDir);

impl TestFolder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("jobs.db")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.file())
    }

    pub(crate) async fn open(&self) -> SqliteBackend {
        SqliteBackend::open(self.config()).await.unwrap()
    }

    pub(crate) fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }
}

pub(crate) fn spec(payload: &str) -> JobSpec {
    JobSpec::new(JobId::generate(), Kind::new("send-email").unwrap(), Payload::json(payload).unwrap())
        .max_retries(3)
        .priority(0)
        .timeout(Duration::from_secs(60))
        .queue(QueueName::default())
}

pub(crate) async fn insert(backend: &SqliteBackend, batch: Vec<JobSpec>) -> Result<Vec<Submitted>> {
    backend.insert(InsertRequest::new(vec![batch])).await?.batches.remove(0)
}

pub(crate) async fn register(backend: &SqliteBackend) -> WorkerId {
    let worker = WorkerId::generate();
    backend.register(RegisterRequest::new(worker, "test", Duration::from_secs(60))).await.unwrap();
    worker
}

pub(crate) fn claim(worker: WorkerId, limit: u32) -> ClaimRequest {
    let kinds: Arc<[Kind]> = Arc::from([Kind::new("send-email").unwrap()]);
    ClaimRequest::new(worker, ClaimId::generate().unwrap(), QueueName::default(), kinds, limit)
}

pub(crate) async fn count(backend: &SqliteBackend) -> usize {
    backend.extensions().audit.unwrap().stored().await.unwrap().jobs.len()
}
