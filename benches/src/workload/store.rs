//! The store of one measurement.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use queue::sqlite::{SqliteBackend, SqliteConfig};
use queue::{Backend, MemoryBackend, State};
use tempfile::TempDir;

use crate::cli::BackendName;
use crate::plan::Plan;

/// A backend without jobs, and what it lives in.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) backend: Arc<dyn Backend>,
    /// Where another process finds the same jobs, if one can.
    pub(super) file: Option<PathBuf>,
    /// Dropped after the backend.
    _scratch: Option<TempDir>,
}

/// Makes a store for the plan.
pub(super) async fn open(plan: &Plan) -> Result<Store> {
    match plan.backend {
        BackendName::Memory => {
            Ok(Store { backend: Arc::new(MemoryBackend::new()), file: None, _scratch: None })
        }
        BackendName::Sqlite => {
            let scratch = plan.scratch()?;
            let file = scratch.path().join("jobs.db");
            Ok(Store { backend: open_file(&file).await?, file: Some(file), _scratch: Some(scratch) })
        }
    }
}

/// The backend on a file, with its defaults.
pub(super) async fn open_file(file: &Path) -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(SqliteBackend::open(SqliteConfig::new(file)).await?))
}

impl Store {
    /// A figure counts only if this many jobs were really stored.
    pub(super) async fn ensure_stored(&self, jobs: usize) -> Result<()> {
        let found = self.audit().await?.jobs.len();
        ensure!(found == jobs, "{found} jobs were stored instead of {jobs}");
        Ok(())
    }

    /// A figure counts only if this many jobs really completed, and nothing is left of them.
    pub(super) async fn ensure_completed(&self, jobs: usize) -> Result<()> {
        let stored = self.audit().await?;
        let completed = stored.outcomes.iter().filter(|outcome| outcome.state == State::Completed).count();
        let unfinished = stored.live.len();
        ensure!(
            completed == jobs && unfinished == 0,
            "of {jobs} jobs {completed} completed, and {unfinished} are unfinished"
        );
        Ok(())
    }

    async fn audit(&self) -> Result<queue::backend::Stored> {
        let audit = self.backend.audit().context("the backend does not show its rows")?;
        Ok(audit.stored().await?)
    }
}
