//! What is measured, with every default filled in.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::cli::{BackendName, Cli, Workload};

/// Enough for a second or two at the speed of the store.
const MANY_JOBS: usize = 200_000;
/// A commit holds 64 of these at the most.
const SINGLE_JOBS: usize = 100_000;
/// They run one after the other.
const LATENCY_JOBS: usize = 2_000;

/// The rest between two jobs whose latency is measured: after it a worker has settled and waits again.
pub(crate) const PAUSE: Duration = Duration::from_millis(2);

/// One measurement.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) backend: BackendName,
    pub(crate) jobs: usize,
    pub(crate) payload_bytes: usize,
    dir: PathBuf,
}

impl Plan {
    /// What the command line asks for.
    pub(crate) fn new(cli: &Cli) -> Result<Self> {
        let jobs = match cli.jobs {
            Some(jobs) => usize::try_from(jobs)?,
            None => default_jobs(cli.workload),
        };
        let dir = match &cli.dir {
            Some(dir) => dir.clone(),
            None => beside_this_program()?,
        };
        let payload_bytes = usize::try_from(cli.payload)?;
        Ok(Self { workload: cli.workload, backend: cli.backend, jobs, payload_bytes, dir })
    }

    /// An empty folder for a database, gone with the value.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("queue-benches-")
            .tempdir_in(&self.dir)
            .with_context(|| format!("failed to make a folder in {}", self.dir.display()))
    }
}

const fn default_jobs(workload: Workload) -> usize {
    match workload {
        Workload::EnqueueBatch | Workload::Drain => MANY_JOBS,
        Workload::EnqueueSingle => SINGLE_JOBS,
        Workload::Latency => LATENCY_JOBS,
    }
}

/// Unlike the system's folder for temporary files, it is on a disk.
fn beside_this_program() -> Result<PathBuf> {
    let mut path = std::env::current_exe().context("failed to find the folder of this program")?;
    path.pop();
    Ok(path)
}
