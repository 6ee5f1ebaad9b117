//! Sums up the finished jobs of a run. Memory grows with the number of file types, not with the
//! number of files.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use queue::backend::JobRecord;
use queue::{JobId, JobState, Timestamp};
use queue_examples::Result;

use crate::run::Tasks;
use crate::tasks::{Demonstration, Feature, FileToMeasure, Measured, Start};

/// Rows of the table of slow jobs.
const SLOWEST: usize = 5;

/// Rows of the table of failures.
const FAILURES: usize = 10;

/// Number and size of files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// A job that measured a file.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) path: PathBuf,
    pub(crate) measured: Measured,
}

/// A job that did not complete.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) attempts: u32,
    pub(crate) error: String,
}

/// The data of the report.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) jobs: u64,
    pub(crate) total: Sum,
    pub(crate) by_extension: HashMap<String, Sum>,
    /// The slowest first.
    pub(crate) slowest: Vec<Slow>,
    pub(crate) failed: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) demonstrations: Vec<(Feature, JobRecord, Start)>,
    pub(crate) taken_over: TakenOver,
}

/// Jobs that were running when an interrupted run was found.
#[derive(Debug, Default)]
pub(crate) struct TakenOver {
    waiting: HashSet<JobId>,
    since: Option<Timestamp>,
    pub(crate) jobs: u64,
    /// Time from finding the run until the last of these jobs ran again.
    pub(crate) after: Duration,
}

impl Tally {
    /// Counts these interrupted jobs separately.
    pub(crate) fn watch(&mut self, interrupted: Vec<JobId>) {
        self.taken_over.waiting = interrupted.into_iter().collect();
        self.taken_over.since = Some(Timestamp::now());
    }

    /// Adds a finished job.
    pub(crate) fn add(&mut self, tasks: &Tasks, record: JobRecord) -> Result {
        self.jobs += 1;
        let result = record.result.as_deref().unwrap_or_default();
        if record.state != JobState::Completed {
            self.add_failure(record);
        } else if record.job.kind.as_str() == tasks.measure.name() {
            let measured = tasks.measure.decode(result)?;
            self.taken_over.add(record.job.id, measured.start)?;
            self.add_file(record.job.payload.decode::<FileToMeasure>()?.path, measured);
        } else {
            let start = tasks.demonstrate.decode(result)?;
            self.taken_over.add(record.job.id, start)?;
            let feature = record.job.payload.decode::<Demonstration>()?.feature;
            self.demonstrations.push((feature, record, start));
        }
        Ok(())
    }

    fn add_file(&mut self, path: PathBuf, measured: Measured) {
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        let sum = self.by_extension.entry(extension.unwrap_or_default()).or_default();
        sum.add(&measured);
        self.total.add(&measured);
        let faster = |slow: &Slow| slow.measured.took_micros >= measured.took_micros;
        let place = self.slowest.partition_point(faster);
        if place < SLOWEST {
            self.slowest.truncate(SLOWEST - 1);
            self.slowest.insert(place, Slow { path, measured });
        }
    }

    fn add_failure(&mut self, record: JobRecord) {
        self.failed += 1;
        if self.failures.len() < FAILURES {
            let error = record.error.unwrap_or_else(|| format!("the job is {}", record.state));
            self.failures.push(Failure { attempts: record.attempt, error });
        }
    }
}

impl Sum {
    fn add(&mut self, measured: &Measured) {
        self.files += 1;
        self.bytes += measured.bytes;
        self.lines += measured.lines;
    }

    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            lines: self.lines + other.lines,
        }
    }
}

impl TakenOver {
    fn add(&mut self, id: JobId, start: Start) -> Result {
        let Some(since) = self.since.filter(|_| self.waiting.remove(&id)) else { return Ok(()) };
        let started = Timestamp::from_micros(start.at_micros)?;
        // A job that started earlier belongs to another live process.
        if started > since {
            self.jobs += 1;
            self.after = self.after.max(since.until(started));
        }
        Ok(())
    }
}
