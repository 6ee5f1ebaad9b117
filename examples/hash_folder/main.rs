//! Measures each file of a folder in a background job. Shows an atomic batch, typed payloads and
//! results, retries, priorities, schedules, and resuming after a crash.
//!
//! ```sh
//! cargo run --release --example hash_folder
//! cargo run --release --example hash_folder -- --help
//! ```
//!
//! `tasks.rs` has the tasks; `run.rs` enqueues; this file runs a worker; `follow.rs` reads the
//! results.

mod follow;
mod progress;
mod report;
mod run;
mod scan;
mod tally;
mod tasks;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::HumanCount;
use queue::runtime::WorkerSettings;
use queue::sqlite::{SqliteBackend, SqliteConfig};
use queue::{JobQueue, Limits, Worker};
use queue_examples::Result;

use follow::Follower;
use progress::{Progress, say};
use report::{Report, span};
use run::{Origin, Tasks};
use tasks::{Run, Shared};

/// Maximum number of files. A batch is one transaction, and its default limit is lower.
const MOST_FILES: usize = 1_000_000;

/// Interval between two reads of finished jobs.
const READ_INTERVAL: Duration = Duration::from_millis(50);

/// Time that jobs may continue after the program is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Measures each file of a folder in a background job: size, lines and SHA-256.
///
/// The jobs are stored in an SQLite file. If the program is killed, start it again to resume. Only
/// files that were being measured are measured twice.
#[derive(Debug, Parser)]
#[command(name = "hash_folder")]
struct Args {
    /// The folder; skips `target`, `.git` and symbolic links
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The SQLite file with the jobs [default: queue-hash-folder.db in the folder for temporary
    /// files]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Number of jobs that run at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    slots: u16,
    /// Delays each job by this time, to have time to kill the program
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    delay: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(Ended::Finished) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => queue_examples::exit_code(Err(error)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Finished,
    Interrupted,
}

async fn run(args: Args) -> Result<Ended> {
    let started = Instant::now();
    let folder = scan::resolve(&args.folder)?;
    let database = absolute(args.database.unwrap_or_else(default_database));
    say(&format!("folder    {}\ndatabase  {}", folder.display(), database.display()));

    let backend = Arc::new(SqliteBackend::open(SqliteConfig::new(&database)).await?);
    let limits = Limits::default().batch_jobs(MOST_FILES);
    let mut queue = JobQueue::with_limits(backend.clone(), limits);
    let tasks = Tasks::register(&mut queue, &folder)?;
    let (run, origin) = tasks.resume_or_begin(&*backend, &folder, &database).await?;

    let mut follower = Follower::new(&*backend, &tasks, run);
    follower.catch_up().await?;
    let before = follower.tally.jobs;
    announce(run, &origin, before);
    if let Origin::Resumed { interrupted } = origin {
        follower.tally.watch(interrupted);
    }

    let worker = Worker::new(&queue)
        .queues([tasks.queue.clone()])
        .settings(settings(args.slots))
        .state(Shared::new(Duration::from_millis(args.delay)))
        .start()?;
    let mut progress = Progress::new(run.jobs(), before)?;
    let ended = tokio::select! {
        ended = follow(&mut follower, &mut progress) => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Ended::Interrupted).map_err(Into::into),
    };
    progress.finish();
    stop(worker).await;
    match ended? {
        Ended::Finished => {
            let report =
                Report { folder: &folder, run, tally: &follower.tally, took: started.elapsed(), before };
            print(&report.to_string())?;
            Ok(Ended::Finished)
        }
        Ended::Interrupted => {
            follower.catch_up().await?;
            let (done, all) = (HumanCount(follower.tally.jobs), HumanCount(run.jobs()));
            say(&format!("stopped at {done} of {all} jobs; start it again to continue"));
            Ok(Ended::Interrupted)
        }
    }
}

/// A short expiry, so that the loss of a killed worker is noticed soon. Other programs send fewer
/// heartbeats.
fn settings(slots: u16) -> WorkerSettings {
    WorkerSettings::default()
        .slots(usize::from(slots))
        .heartbeat_interval(Duration::from_millis(300))
        .worker_expiry(Duration::from_secs(1))
        .rescue_interval(Duration::from_millis(250))
        // Otherwise a run resumed after weeks would miss its finished jobs.
        .prune(None)
}

/// Reads the run until all its jobs have finished, in any process.
async fn follow(follower: &mut Follower<'_>, progress: &mut Progress) -> Result<Ended> {
    while !follower.is_at_the_end() {
        tokio::time::sleep(READ_INTERVAL).await;
        follower.catch_up().await?;
        progress.set(follower.tally.jobs);
    }
    Ok(Ended::Finished)
}

/// Waits for the running jobs; a second Ctrl-C ends the wait.
async fn stop(worker: queue::RunningWorker) {
    tokio::select! {
        _ = worker.shutdown(GRACE) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn announce(run: Run, origin: &Origin, before: u64) {
    let all = HumanCount(run.jobs());
    match origin {
        Origin::New { took, problems, after_another } => {
            if *after_another {
                say("the run before this one is complete; this is a new one");
            }
            let files = HumanCount(run.files);
            say(&format!("enqueued  {files} files as {all} jobs in {}", span(*took)));
            for problem in problems.iter().take(5) {
                say(&format!("left out  {problem}"));
            }
            if problems.len() > 5 {
                say(&format!("left out  … and {} more", problems.len() - 5));
            }
        }
        Origin::Resumed { interrupted } => {
            let (done, running) = (HumanCount(before), interrupted.len());
            say(&format!("resumed   {done} of {all} jobs were done, {running} were running"));
        }
    }
}

fn default_database() -> PathBuf {
    std::env::temp_dir().join("queue-hash-folder.db")
}

/// The absolute path of the file, so that a scan of the folder can skip it.
fn absolute(database: PathBuf) -> PathBuf {
    let folder = database.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    match (folder.canonicalize(), database.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        // Opening the file reports the error.
        _ => database,
    }
}

/// Prints the report. The reader may have closed the pipe.
fn print(report: &str) -> Result {
    match std::io::stdout().write_all(report.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("failed to print the report: {error}").into())
        }
        _ => Ok(()),
    }
}
