//! The options of a measurement, with defaults filled in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::cli::{BackendName, Cli, Workload};
use crate::postgres::Server;

/// Enough for one or two seconds at the speed of the store.
const MANY_JOBS: usize = 200_000;
/// Fewer, because a commit has at most 64 of these.
const SINGLE_JOBS: usize = 100_000;
/// One commit per job.
const TRANSACTIONS: usize = 10_000;
/// The number per round.
const ROUND_JOBS: usize = 100_000;
/// The number per round. Enough that starting and stopping a worker costs little of it.
const SNAPSHOT_JOBS: usize = 10_000;
/// Few, because they run one after the other.
const LATENCY_JOBS: usize = 2_000;
/// As many as one worker must fire in a minute.
const SCHEDULES: usize = 10_000;

/// The pause between two measured jobs, after which a worker has settled and waits again.
pub(crate) const PAUSE: Duration = Duration::from_millis(2);

/// One measurement.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) backend: BackendName,
    pub(crate) jobs: usize,
    pub(crate) payload_bytes: usize,
    /// Number of queues of the idle worker.
    pub(crate) queues: usize,
    /// Number of rounds under a held snapshot.
    pub(crate) rounds: usize,
    dir: PathBuf,
    /// A server that the bench started stops when this is dropped.
    server: Option<Server>,
}

impl Plan {
    /// The plan of a command line.
    pub(crate) fn new(cli: &Cli) -> Result<Self> {
        let jobs = match cli.jobs {
            Some(jobs) => usize::try_from(jobs)?,
            None => default_jobs(cli.workload),
        };
        let dir = match &cli.dir {
            Some(dir) => dir.clone(),
            None => folder_of_this_program()?,
        };
        let payload_bytes = usize::try_from(cli.payload)?;
        let queues = usize::try_from(cli.queues)?;
        let rounds = usize::try_from(cli.rounds)?;
        let server = match (cli.backend, &cli.url) {
            (BackendName::Postgres, Some(url)) => Some(Server::given(url)),
            (BackendName::Postgres, None) => Some(match &cli.dir {
                Some(dir) => Server::start(&[dir])?,
                None => Server::start(&[&dir, Path::new(ELSEWHERE)])?,
            }),
            (backend, Some(_)) => bail!("--url names a PostgreSQL server, but the backend is {backend}"),
            (BackendName::Memory | BackendName::Sqlite, None) => None,
        };
        let (workload, backend) = (cli.workload, cli.backend);
        Ok(Self { workload, backend, jobs, payload_bytes, queues, rounds, dir, server })
    }

    /// The PostgreSQL server to measure.
    pub(crate) fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("no PostgreSQL server belongs to this measurement")
    }

    /// Settings of the server, for the report.
    pub(crate) fn settings(&self) -> Result<Map<String, Value>> {
        self.server.as_ref().map_or_else(|| Ok(Map::new()), Server::settings)
    }

    /// Creates an empty folder for a database, removed when this is dropped.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("queue-benches-")
            .tempdir_in(&self.dir)
            .with_context(|| format!("failed to create a folder in {}", self.dir.display()))
    }
}

const fn default_jobs(workload: Workload) -> usize {
    match workload {
        Workload::EnqueueBatch | Workload::Drain => MANY_JOBS,
        Workload::EnqueueSingle => SINGLE_JOBS,
        Workload::EnqueueTx => TRANSACTIONS,
        Workload::Stalled => ROUND_JOBS,
        Workload::Latency | Workload::RequestReply => LATENCY_JOBS,
        Workload::HeldSnapshot => SNAPSHOT_JOBS,
        Workload::Schedules | Workload::IdleSchedules => SCHEDULES,
        Workload::Idle => 0,
    }
}

/// A folder on a disk that every account has access to. PostgreSQL refuses to run as root, and its
/// own account may have no access to a checkout in the home of root.
const ELSEWHERE: &str = "/var/tmp";

/// The folder of this program, because it is on a disk, unlike the system's temporary folder.
fn folder_of_this_program() -> Result<PathBuf> {
    let mut path = std::env::current_exe().context("failed to find the folder of this program")?;
    path.pop();
    Ok(path)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(words: &[&str]) -> Result<Plan> {
        Plan::new(&Cli::parse_from(["queue-benches", "drain"].iter().chain(words)))
    }

    #[test]
    fn url_is_only_for_postgres() {
        let url = ["--url", "postgres://me@host/jobs"];
        let error = plan(&url).unwrap_err().to_string();
        assert!(error.contains("--url") && error.contains("sqlite"), "{error}");
        let plan = plan(&[&url[..], &["--backend", "postgres"]].concat()).unwrap();
        assert_eq!(plan.server().unwrap().url(), "postgres://me@host/jobs");
    }
}
