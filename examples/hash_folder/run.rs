//! Finds an interrupted run or begins a new one.
//!
//! The database stores the state. The files of a folder are enqueued in one atomic batch, so a run
//! exists with all its jobs or not at all. Each job has its run in its payload, so any unfinished
//! job identifies the run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use queue::backend::{Inspect, ListRequest};
use queue::{JobId, JobQueue, JobState, NewJob, QueueName, ResultTaskHandle, Timestamp};
use queue_examples::Result;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::scan;
use crate::tasks::{
    Demonstration, Feature, FileToMeasure, Measured, Run, Start, demonstrate_task, hex, measure_file_task,
};

/// The delay of the scheduled job.
const AHEAD: Duration = Duration::from_secs(1);

/// The priority of the urgent job; jobs that measure have 0.
const URGENT: i16 = 100;

/// The priority of scheduled and retried jobs, so that they do not wait behind a long batch once
/// they are due.
const PUNCTUAL: i16 = 50;

/// Jobs of a run that measure no file.
const DEMONSTRATIONS: u64 = 3;

/// Maximum number of interrupted jobs kept by id: more than the number of slots.
const MOST_INTERRUPTED: u32 = 10_000;

impl Run {
    pub(crate) const fn jobs(&self) -> u64 {
        self.files + DEMONSTRATIONS
    }
}

/// The two registered tasks and the queue of a folder.
pub(crate) struct Tasks {
    pub(crate) measure: ResultTaskHandle<FileToMeasure, Measured>,
    pub(crate) demonstrate: ResultTaskHandle<Demonstration, Start>,
    /// Each folder has its own queue, so that several folders can share a database.
    pub(crate) queue: QueueName,
}

/// The origin of a run.
pub(crate) enum Origin {
    /// An unfinished run was found, with these jobs running.
    Resumed { interrupted: Vec<JobId> },
    /// The run is new.
    New { took: Duration, problems: Vec<String>, after_another: bool },
}

impl Tasks {
    pub(crate) fn register(queue: &mut JobQueue, folder: &Path) -> Result<Self> {
        let name = hex(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..8]);
        Ok(Self {
            measure: measure_file_task().register(queue)?,
            demonstrate: demonstrate_task().register(queue)?,
            queue: QueueName::new(format!("folder-{name}"))?,
        })
    }

    /// Resumes the unfinished run of the folder, or begins a new one.
    pub(crate) async fn resume_or_begin(
        &self,
        jobs: &dyn Inspect,
        folder: &Path,
        database: &Path,
    ) -> Result<(Run, Origin)> {
        // Under a lock, because two programs could otherwise both find no run and begin one.
        let _lock = lock(database)?;
        let (run, origin) = match self.unfinished(jobs).await? {
            Some(run) => {
                let running = self.list(jobs, Some(JobState::Running), MOST_INTERRUPTED).await?;
                (run, Origin::Resumed { interrupted: running.iter().map(|record| record.job.id).collect() })
            }
            None => {
                let after_another = !self.list(jobs, None, 1).await?.is_empty();
                let started = Instant::now();
                let scan = scan::scan(folder, database)?;
                let run = self.enqueue(scan.files).await?;
                (run, Origin::New { took: started.elapsed(), problems: scan.problems, after_another })
            }
        };
        self.enqueue_urgent(jobs, run).await?;
        Ok((run, origin))
    }

    async fn unfinished(&self, jobs: &dyn Inspect) -> Result<Option<Run>> {
        #[derive(Deserialize)]
        struct OfRun {
            run: Run,
        }
        for state in JobState::ALL.iter().copied().filter(|state| !state.is_finished()) {
            if let Some(record) = self.list(jobs, Some(state), 1).await?.first() {
                return Ok(Some(record.job.payload.decode::<OfRun>()?.run));
            }
        }
        Ok(None)
    }

    async fn list(
        &self,
        jobs: &dyn Inspect,
        state: Option<JobState>,
        limit: u32,
    ) -> Result<Vec<queue::backend::JobRecord>> {
        let mut request = ListRequest::new(limit);
        request.queue = Some(self.queue.clone());
        request.state = state;
        Ok(jobs.list(request).await?)
    }

    /// Enqueues one batch: one job per file, one that fails once, and one that is scheduled.
    async fn enqueue(&self, files: Vec<PathBuf>) -> Result<Run> {
        let run = Run { id: JobId::generate(), files: files.len() as u64 };
        let file = |path| Ok(self.measure.job(&FileToMeasure { run, path })?.queue(self.queue.clone()));
        let mut batch = files.into_iter().map(file).collect::<Result<Vec<NewJob>>>()?;
        batch.push(self.demonstration(run, Feature::FailsOnce)?.priority(PUNCTUAL));
        let ahead = Timestamp::now().saturating_add(AHEAD);
        batch.push(self.demonstration(run, Feature::ComesLater)?.run_at(ahead).priority(PUNCTUAL));
        self.measure.submit(batch).await?;
        Ok(run)
    }

    /// Enqueues the urgent job after the batch. Its id is known before, so repeating this after a
    /// crash inserts no second job.
    async fn enqueue_urgent(&self, jobs: &dyn Inspect, run: Run) -> Result<()> {
        if jobs.jobs(&[run.id]).await?.iter().flatten().next().is_none() {
            let urgent = self.demonstration(run, Feature::Overtakes)?.id(run.id).priority(URGENT);
            self.demonstrate.submit(vec![urgent]).await?;
        }
        Ok(())
    }

    fn demonstration(&self, run: Run, feature: Feature) -> Result<NewJob> {
        Ok(self.demonstrate.job(&Demonstration { run, feature })?.queue(self.queue.clone()))
    }
}

/// The lock is held until this is dropped or the program ends.
fn lock(database: &Path) -> Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|error| format!("failed to lock `{}`: {error}", Path::new(&path).display()).into())
}
