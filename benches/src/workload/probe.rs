//! An idle queue with a worker that reports the start of each job. The worker is in this process or
//! in another one.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use queue::{JobId, JobQueue, RunningWorker, TaskHandle, Worker};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::child::Child;
use super::parcel::{Parcel, Start, task};
use super::store::Store;

/// Rounds of warm-up, which are not counted.
pub(super) const WARM_UP: usize = 50;
/// Timeout of the wait for a job.
pub(super) const LOST: Duration = Duration::from_secs(30);

/// The queue, as the caller sees it.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) queue: JobQueue,
    handle: TaskHandle<Parcel>,
    worker: Serving,
}

#[derive(Debug)]
enum Serving {
    Here { worker: RunningWorker, starts: UnboundedReceiver<Start> },
    There(Child),
}

impl Probe {
    /// Starts a worker in this process.
    pub(super) fn here(store: &Store) -> Result<Self> {
        let (started, starts) = unbounded_channel();
        let mut queue = JobQueue::new(store.backend.clone());
        let handle = task(move |_, parcel: Parcel| {
            let sent = started.send((parcel.number, SystemTime::now()));
            async move { sent.map_err(Into::into) }
        })
        .register(&mut queue)?;
        let worker = Worker::new(&queue).start()?;
        Ok(Self { queue, handle, worker: Serving::Here { worker, starts } })
    }

    /// Uses the worker of another process.
    pub(super) fn across(store: &Store, child: Child) -> Result<Self> {
        let mut queue = JobQueue::new(store.backend.clone());
        let handle = task(|_, _| async { Ok(()) }).register(&mut queue)?;
        Ok(Self { queue, handle, worker: Serving::There(child) })
    }

    pub(super) async fn enqueue(&self, parcel: &Parcel) -> Result<JobId> {
        Ok(self.handle.enqueue(parcel).await?)
    }

    /// Waits until this job has started, and returns when it did.
    pub(super) async fn start_of(&mut self, number: usize) -> Result<SystemTime> {
        let starts = match &mut self.worker {
            Serving::Here { starts, .. } => starts,
            Serving::There(child) => &mut child.starts,
        };
        let start =
            timeout(LOST, starts.recv()).await.with_context(|| format!("job {number} never started"))?;
        let (started, at) = start.context("the worker has ended")?;
        ensure!(started == number, "job {started} started in place of job {number}");
        Ok(at)
    }

    /// Waits until the worker has settled its jobs and ended.
    pub(super) async fn end(self) -> Result<()> {
        match self.worker {
            Serving::Here { worker, .. } => {
                worker.shutdown(LOST).await;
                Ok(())
            }
            Serving::There(child) => child.stop().await,
        }
    }
}

/// The time between two times of the system clock, which all processes share.
pub(super) fn elapsed(before: SystemTime, after: SystemTime) -> Result<Duration> {
    after.duration_since(before).context("the clock went back; measure again")
}
