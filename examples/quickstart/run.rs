//! Which run to work on: one that was interrupted, or a new one.
//!
//! The database itself remembers. The files of a folder are enqueued in one atomic batch, so either a
//! run is there with all of its jobs or not at all; and each job carries its run, so any unfinished
//! one is enough to find it again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use queue::backend::{Inspect, ListRequest};
use queue::{JobId, JobQueue, NewJob, QueueName, ResultTaskHandle, State, Timestamp};
use queue_examples::Result;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::scan;
use crate::tasks::{
    Demonstration, Feature, FileToMeasure, Measured, Run, Start, demonstrate_task, hex, measure_file_task,
};

/// How far ahead the scheduled job is.
const AHEAD: Duration = Duration::from_secs(1);

/// How urgent the urgent job is; those that measure have 0.
const URGENT: i16 = 100;

/// Enough for what is scheduled or tried again not to wait behind a long batch once it is due.
const PUNCTUAL: i16 = 50;

/// Jobs of a run that measure no file.
const DEMONSTRATIONS: u64 = 3;

/// How many interrupted jobs are remembered by name: more than there are slots.
const MOST_INTERRUPTED: u32 = 10_000;

impl Run {
    pub(crate) const fn jobs(&self) -> u64 {
        self.files + DEMONSTRATIONS
    }
}

/// The two tasks, registered, and the lane of a folder.
pub(crate) struct Tasks {
    pub(crate) measure: ResultTaskHandle<FileToMeasure, Measured>,
    pub(crate) demonstrate: ResultTaskHandle<Demonstration, Start>,
    /// Each folder has a queue of its own, so that several can share a database.
    pub(crate) lane: QueueName,
}

/// How a run came about.
pub(crate) enum Origin {
    /// It was there, unfinished, with these jobs running when it was found.
    Resumed { interrupted: Vec<JobId> },
    /// It was made now.
    New { took: Duration, problems: Vec<String>, after_another: bool },
}

impl Tasks {
    pub(crate) fn register(queue: &mut JobQueue, folder: &Path) -> Result<Self> {
        let name = hex(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..8]);
        Ok(Self {
            measure: measure_file_task().register(queue)?,
            demonstrate: demonstrate_task().register(queue)?,
            lane: QueueName::new(format!("folder-{name}"))?,
        })
    }

    /// Goes on with the unfinished run of the folder, or makes a new one.
    pub(crate) async fn resume_or_begin(
        &self,
        jobs: &dyn Inspect,
        folder: &Path,
        database: &Path,
    ) -> Result<(Run, Origin)> {
        // Two programs that look at the same time must not both find nothing and begin.
        let _lock = lock(database)?;
        let (run, origin) = match self.unfinished(jobs).await? {
            Some(run) => {
                let running = self.list(jobs, Some(State::Running), MOST_INTERRUPTED).await?;
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
        for state in State::ALL.iter().copied().filter(|state| !state.is_finished()) {
            if let Some(record) = self.list(jobs, Some(state), 1).await?.first() {
                return Ok(Some(record.job.payload.decode::<OfRun>()?.run));
            }
        }
        Ok(None)
    }

    async fn list(
        &self,
        jobs: &dyn Inspect,
        state: Option<State>,
        limit: u32,
    ) -> Result<Vec<queue::backend::JobRecord>> {
        let mut request = ListRequest::new(limit);
        request.queue = Some(self.lane.clone());
        request.state = state;
        Ok(jobs.list(request).await?)
    }

    /// One batch: a job a file, one that fails once, and one that is scheduled ahead.
    async fn enqueue(&self, files: Vec<PathBuf>) -> Result<Run> {
        let run = Run { id: JobId::generate(), files: files.len() as u64 };
        let file = |path| Ok(self.measure.job(&FileToMeasure { run, path })?.queue(self.lane.clone()));
        let mut batch = files.into_iter().map(file).collect::<Result<Vec<NewJob>>>()?;
        batch.push(self.demonstration(run, Feature::FailsOnce)?.priority(PUNCTUAL));
        let ahead = Timestamp::now().saturating_add(AHEAD);
        batch.push(self.demonstration(run, Feature::ComesLater)?.run_at(ahead).priority(PUNCTUAL));
        self.measure.submit(batch).await?;
        Ok(run)
    }

    /// The urgent job comes after the batch, and the program may be killed between the two. Its id is
    /// known before, so that it can be enqueued again: that makes no second one.
    async fn enqueue_urgent(&self, jobs: &dyn Inspect, run: Run) -> Result<()> {
        if jobs.jobs(&[run.id]).await?.iter().flatten().next().is_none() {
            let urgent = self.demonstration(run, Feature::Overtakes)?.id(run.id).priority(URGENT);
            self.demonstrate.submit(vec![urgent]).await?;
        }
        Ok(())
    }

    fn demonstration(&self, run: Run, feature: Feature) -> Result<NewJob> {
        Ok(self.demonstrate.job(&Demonstration { run, feature })?.queue(self.lane.clone()))
    }
}

/// Held until it is dropped, or the program ends in whatever way.
fn lock(database: &Path) -> Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|error| format!("failed to lock `{}`: {error}", Path::new(&path).display()).into())
}
