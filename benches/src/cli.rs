//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// A shorter payload has no room for the number of the job.
const LEAST_PAYLOAD: i64 = 32;
/// The default limit of the queue.
const MOST_PAYLOAD: i64 = 1024 * 1024;

/// Measure one workload of the queue and its floor: a bare loop over the same store
///
/// The floor keeps the same protocol (fenced by tokens) and the same durability, and shares no code
/// with the backend. It is the fastest of four batch sizes, on PostgreSQL also of one and two
/// connections. The ratio is the value divided by the floor.
#[derive(Debug, Parser)]
#[command(name = "queue-benches")]
pub(crate) struct Cli {
    /// What to measure
    pub(crate) workload: Workload,

    /// The store under the queue
    #[arg(long, default_value = "sqlite", value_name = "NAME")]
    pub(crate) backend: BackendName,

    /// Number of jobs [default: 200000; 100000 for enqueue-single and stalled; 10000 for
    /// enqueue-tx; 2000 for latency and request-reply; 10000 per round for held-snapshot, and
    /// schedules for the last two]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: Option<u32>,

    /// Number of queues that the idle worker serves
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) queues: u32,

    /// Number of rounds of held-snapshot
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) rounds: u32,

    /// The length of each job's JSON payload
    #[arg(long, value_name = "BYTES", default_value_t = 40,
          value_parser = clap::value_parser!(u32).range(LEAST_PAYLOAD..=MOST_PAYLOAD))]
    pub(crate) payload: u32,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Folder for database files and servers, removed afterwards [default: the folder of this
    /// program]
    ///
    /// Use a real disk, because a commit costs nothing in a file system in memory.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,

    /// The PostgreSQL server to measure on, in schemas that are created and dropped [default: the
    /// bench starts one]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Run as the second process of a latency workload, on the jobs at this address
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) worker_of: Option<OsString>,
}

/// The workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Jobs enqueued per second, in atomic batches of 1000
    EnqueueBatch,
    /// Jobs enqueued per second by 64 concurrent tasks, one job per call
    EnqueueSingle,
    /// Transactions of an application per second, each with a row and a job, of 16 concurrent
    /// callers (one on SQLite); the floor is the same without the job
    EnqueueTx,
    /// Jobs finished per second from a full queue
    Drain,
    /// Time from before the enqueue call to the start of the handler, on an idle queue
    Latency,
    /// Time from before the enqueue call to the awaited result, on an idle queue; the floor is that
    /// of latency. Also prints the time to the start of the handler
    RequestReply,
    /// Jobs started per second from two SQLite files, while the connection to a third database of
    /// the same worker stalls; the floor is the same without a stall
    Stalled,
    /// Transactions per second of an idle worker that serves many queues; the floor is one queue
    Idle,
    /// Jobs finished per second in rounds, while another transaction holds a snapshot and
    /// PostgreSQL can remove no dead row. The value is the median of the last quarter of the
    /// rounds, the floor that of the first. Each round also prints its processor time per job
    HeldSnapshot,
    /// Jobs per second of schedules that are all due at one moment, from that moment to the start
    /// of the last job, with one worker. The floor is 10000 per minute
    Schedules,
    /// Processor time per second, of this program and a server that the bench started, of an idle
    /// worker with many schedules that are not due; the floor is none
    IdleSchedules,
}

/// The stores that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// Maps in this process
    Memory,
    /// A database file in this process, in WAL mode with `synchronous=FULL`
    Sqlite,
    /// A PostgreSQL server: that of `--url`, otherwise one that the bench starts
    Postgres,
}

/// Writes the name of the value on the command line.
fn named(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    value.to_possible_value().map_or(Ok(()), |known| f.write_str(known.get_name()))
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn payload_too_short_for_its_number_is_refused() {
        let error = Cli::try_parse_from(["queue-benches", "drain", "--payload", "31"]).unwrap_err();
        assert!(error.to_string().contains("--payload"), "{error}");
    }
}
