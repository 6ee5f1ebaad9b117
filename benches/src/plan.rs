//! What is measured, with every default filled in.

use anyhow::Result;

use crate::cli::{BackendName, Cli, Workload};

/// Enough for a second or two at the speed of the store.
const MANY_JOBS: usize = 200_000;
/// A commit holds 64 of these at the most.
const SINGLE_JOBS: usize = 100_000;
/// They run one after the other.
const LATENCY_JOBS: usize = 2_000;

/// One measurement.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) backend: BackendName,
    pub(crate) jobs: usize,
    pub(crate) payload_bytes: usize,
}

impl Plan {
    /// What the command line asks for.
    pub(crate) fn new(cli: &Cli) -> Result<Self> {
        let jobs = match cli.jobs {
            Some(jobs) => usize::try_from(jobs)?,
            None => default_jobs(cli.workload),
        };
        let payload_bytes = usize::try_from(cli.payload)?;
        Ok(Self { workload: cli.workload, backend: cli.backend, jobs, payload_bytes })
    }
}

const fn default_jobs(workload: Workload) -> usize {
    match workload {
        Workload::EnqueueBatch | Workload::Drain => MANY_JOBS,
        Workload::EnqueueSingle => SINGLE_JOBS,
        Workload::Latency => LATENCY_JOBS,
    }
}
