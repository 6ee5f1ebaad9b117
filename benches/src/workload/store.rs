//! Opens the store of one measurement.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use queue::sqlite::{SqliteBackend, SqliteConfig};
use queue::{Backend, JobState, MemoryBackend};

use crate::cli::BackendName;

/// A backend without jobs.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) backend: Arc<dyn Backend>,
    /// The address of the jobs for another process, if it can have one.
    pub(super) address: Option<OsString>,
}

/// Opens the backend at the address with default settings.
pub(super) async fn open(backend: BackendName, address: Option<&OsStr>) -> Result<Arc<dyn Backend>> {
    let address = || address.with_context(|| format!("the backend {backend} needs an address"));
    Ok(match backend {
        BackendName::Memory => Arc::new(MemoryBackend::new()),
        BackendName::Sqlite => Arc::new(SqliteBackend::open(SqliteConfig::new(address()?)).await?),
        BackendName::Postgres => {
            let url = address()?.to_str().context("the address of the server is not Unicode")?;
            Arc::clone(queue::connect(url).await?.backend())
        }
    })
}

impl Store {
    /// Opens the backend with default settings at an address without jobs.
    pub(super) async fn open(backend: BackendName, address: Option<OsString>) -> Result<Self> {
        let backend = open(backend, address.as_deref()).await?;
        Ok(Self { backend, address })
    }

    /// Checks that this number of jobs is stored.
    pub(super) async fn ensure_stored(&self, jobs: usize) -> Result<()> {
        let found = self.audit().await?.jobs.len();
        ensure!(found == jobs, "{found} jobs were stored instead of {jobs}");
        Ok(())
    }

    /// Checks that this number of jobs completed and none is unfinished.
    pub(super) async fn ensure_completed(&self, jobs: usize) -> Result<()> {
        let stored = self.audit().await?;
        let completed = stored.outcomes.iter().filter(|outcome| outcome.state == JobState::Completed).count();
        let unfinished = stored.live.len();
        ensure!(
            completed == jobs && unfinished == 0,
            "of {jobs} jobs {completed} completed, and {unfinished} are unfinished"
        );
        Ok(())
    }

    async fn audit(&self) -> Result<queue::backend::Stored> {
        let audit = self.backend.extensions().audit.context("the backend does not show its rows")?;
        Ok(audit.stored().await?)
    }
}
