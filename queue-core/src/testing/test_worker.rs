//! A worker that runs jobs when the test says so.

use crate::clock::Clock;
use crate::runtime::{InlineWorker, Run};
use crate::{Error, Result, Worker};

/// The attempts after which a call ends with an error.
const MAX_RUNS: usize = 1000;

/// A worker that runs jobs in the task of the test, one after the other, when the test says so.
///
/// ```
/// use queue_core::testing::{TestQueue, TestWorker};
/// use queue_core::{HandlerResult, JobError, JobId, Task, Worker};
/// use queue_core::JobState::{Completed, Retrying};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Charge { order: i64 }
///
/// impl Task for Charge { // or `#[derive(Task)]`
///     const KIND: &'static str = "charge";
///     type Output = ();
/// }
///
/// async fn charge(_: Charge, context: queue_core::JobContext) -> HandlerResult {
///     if context.attempt() < 3 { Err(JobError::retry("the gateway is away")) } else { Ok(()) }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let queue = TestQueue::new();
/// let mut worker = TestWorker::new(Worker::new(&queue).handle(charge))?;
/// queue.enqueue(Charge { order: 7 }).await?;
///
/// // The clock jumps to each retry.
/// let runs = worker.run_all().await?;
/// assert_eq!(runs, [Retrying, Retrying, Completed]);
/// assert_eq!(runs[0].error.as_deref(), Some("the gateway is away"));
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// Handlers, timeouts and panics are those of a real worker. There are no heartbeats and no rescue,
/// and a job cannot be cancelled while it runs.
///
/// # Errors
/// Those of the backend. [`Invalid`](crate::ErrorKind::Invalid) if more attempts ran than
/// [`at_most`](Self::at_most): for example because jobs enqueue each other without end.
///
/// # Cancellation
/// If a future is dropped, the job that ran stays running.
#[derive(Debug)]
pub struct TestWorker {
    worker: InlineWorker,
    at_most: usize,
}

impl TestWorker {
    /// Takes a worker that was built and not started.
    ///
    /// # Errors
    /// Those of [`Worker::start`].
    pub fn new(worker: Worker) -> Result<Self> {
        Ok(Self { worker: InlineWorker::new(worker)?, at_most: MAX_RUNS })
    }

    /// Sets after how many attempts a call ends with an error (default: 1000).
    #[must_use]
    pub fn at_most(mut self, runs: usize) -> Self {
        self.at_most = runs;
        self
    }

    /// Runs the jobs that are ready, and those that become ready by that. The clock stands still.
    /// Schedules that are due fire first.
    pub async fn run_ready(&mut self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        self.run_into(&mut runs).await?;
        Ok(runs)
    }

    /// Runs all jobs, also those that wait: the clock of the [`TestQueue`](super::TestQueue) jumps
    /// to the next one that is due, until none waits. The clock does not jump to schedules.
    pub async fn run_all(&mut self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        self.run_into(&mut runs).await?;
        while let Some(wait) = self.worker.next_due().await? {
            if matches!(self.worker.clock, Clock::System) {
                let message = "a job waits, and only the clock of a `TestQueue` can jump to it";
                return Err(Error::invalid("run all jobs", message));
            }
            self.worker.clock.advance(wait);
            self.run_into(&mut runs).await?;
        }
        Ok(runs)
    }

    async fn run_into(&mut self, runs: &mut Vec<Run>) -> Result<()> {
        self.worker.prepare().await?;
        while let Some(run) = self.worker.run_next().await? {
            runs.push(run);
            if runs.len() > self.at_most {
                let last = &runs[runs.len() - 1].kind;
                let fault = format!("more than {} attempts ran, the last of kind `{last}`", self.at_most);
                return Err(Error::invalid("run jobs", fault));
            }
        }
        Ok(())
    }
}
