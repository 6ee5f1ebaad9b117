//! The two tasks of this program: their payloads, handlers and results.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use queue::{
    Backoff, CancellationToken, HandlerResult, JobContext, JobError, JobId, ResultTask, TaskOptions,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One run over a folder. Each of its jobs has it in the payload, so that any job identifies the
/// run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Generated before the ids of the other jobs, hence smaller. It is the id of the urgent job.
    pub(crate) id: JobId,
    /// The number of files.
    pub(crate) files: u64,
}

/// The payload of a job that measures a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FileToMeasure {
    pub(crate) run: Run,
    pub(crate) path: PathBuf,
}

/// The result of a job that measures a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) sha256: String,
    pub(crate) took_micros: u64,
    pub(crate) start: Start,
}

/// The feature that a job without a file demonstrates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Feature {
    FailsOnce,
    ComesLater,
    Overtakes,
}

/// The payload of a job that demonstrates a feature.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Demonstration {
    pub(crate) run: Run,
    pub(crate) feature: Feature,
}

/// When an attempt started.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Microseconds since 1970.
    pub(crate) at_micros: i64,
    /// The position among the jobs of the process: 1, 2, …
    pub(crate) order: u64,
}

/// Application state that the handlers share, found by its type.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    started: AtomicU64,
    delay: Duration,
}

impl Shared {
    pub(crate) fn new(delay: Duration) -> Self {
        Self { started: AtomicU64::new(0), delay }
    }

    fn start(&self) -> Start {
        let order = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        Start { at_micros: Timestamp::now().as_micros(), order }
    }
}

/// The task whose jobs measure a file.
///
/// Created at registration, because a `static` would keep the database open until the process ends.
pub(crate) fn measure_file_task() -> ResultTask<FileToMeasure, Measured> {
    ResultTask::from_fn("measure-file", measure_file).with_options(options())
}

/// The task whose jobs demonstrate a feature.
pub(crate) fn demonstrate_task() -> ResultTask<Demonstration, Start> {
    ResultTask::from_fn("demonstrate", demonstrate).with_options(options())
}

/// Enough retries for a few kills, and a backoff short enough to watch.
fn options() -> TaskOptions {
    let backoff = Backoff::from_base(Duration::from_millis(50));
    TaskOptions::new().max_retries(5).retry(backoff).needs_state::<Shared>()
}

async fn measure_file(context: JobContext, job: FileToMeasure) -> HandlerResult<Measured> {
    let shared = context.state::<Shared>()?;
    let start = shared.start();
    let clock = Instant::now();
    if !shared.delay.is_zero() {
        tokio::time::sleep(shared.delay).await;
    }
    let stop = context.cancellation().clone();
    let content = tokio::task::spawn_blocking(move || {
        read(&job.path, &stop)
            .map_err(|error| JobError::retry(format!("failed to read `{}`: {error}", job.path.display())))
    });
    let Content { bytes, lines, sha256 } = content.await??;
    let took_micros = u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Measured { bytes, lines, sha256, took_micros, start })
}

async fn demonstrate(context: JobContext, job: Demonstration) -> HandlerResult<Start> {
    let start = context.state::<Shared>()?.start();
    if job.feature == Feature::FailsOnce && context.attempt() == 1 {
        return Err(JobError::retry("a pretended outage"));
    }
    Ok(start)
}

struct Content {
    bytes: u64,
    lines: u64,
    sha256: String,
}

/// Reads in pieces, so that a large file needs little memory. Stops when the job is cancelled.
fn read(path: &Path, stop: &CancellationToken) -> std::io::Result<Content> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; 128 << 10];
    let (mut bytes, mut lines, mut last) = (0, 0, b'\n');
    let mut hash = Sha256::new();
    while !stop.is_cancelled() {
        let read = file.read(&mut piece)?;
        let Some(end) = piece[..read].last() else {
            // The last line counts with and without a line break.
            lines += u64::from(last != b'\n');
            return Ok(Content { bytes, lines, sha256: hex(&hash.finalize()) });
        };
        last = *end;
        bytes += read as u64;
        lines += piece[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        hash.update(&piece[..read]);
    }
    Err(std::io::Error::other("stopped before its end"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
