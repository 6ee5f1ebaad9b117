//! A worker that runs jobs when the test says so.

use std::time::Duration;

use crate::runtime::{InlineWorker, Run, Runs};
use crate::{Error, Result, Timestamp, Worker};

/// The attempts and jumps of the clock after which a call ends with an error.
const MAX_RUNS: usize = 1000;

/// A worker that runs jobs in the task of the test, one after the other, when the test says so.
///
/// ```
/// use queue_core::testing::{TestQueue, TestWorker};
/// use queue_core::{HandlerResult, JobContext, JobError, Task, Worker};
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
/// async fn charge(_: Charge, context: JobContext) -> HandlerResult {
///     if context.attempt() < 3 { Err(JobError::retry("the gateway is away")) } else { Ok(()) }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let queue = TestQueue::new();
/// let worker = TestWorker::start(Worker::new(&queue).handle(charge)).await?;
/// queue.enqueue(Charge { order: 7 }).await?;
///
/// // The clock jumps to each retry.
/// let runs = worker.run_all().await?;
/// assert_eq!(runs, [Retrying, Retrying, Completed]);
/// assert_eq!(runs[0].error.as_deref(), Some("the gateway is away"));
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// A schedule that the worker declares is stored when it starts. Its slots come when the clock has
/// moved: [`run_for`](Self::run_for) a day.
///
/// It runs the jobs of any backend. Only a jump of the clock needs a
/// [`TestQueue`](super::TestQueue).
///
/// Handlers, retries, panics and follow-ups are those of a real worker. These are not:
/// - Timeouts take real time, also if tokio's clock is paused.
/// - There are no heartbeats and no rescue, a job cannot be cancelled while it runs, and nothing is
///   pruned.
/// - Queues are served one after the other, in the order of their names.
///
/// # Errors
/// - Those of the backend.
/// - [`Invalid`](crate::ErrorKind::Invalid): more attempts ran than [`at_most`](Self::at_most), for
///   example because jobs enqueue each other without end. Or the clock would have to jump, and is
///   that of the system.
///
/// # Cancellation
/// If a future is dropped, the job that ran stays running.
#[derive(Debug)]
pub struct TestWorker {
    worker: InlineWorker,
    at_most: usize,
}

impl TestWorker {
    /// Takes a worker that was built and not started. Registers it, and stores its schedules.
    ///
    /// # Errors
    /// Those of [`Worker::start`], and those of the backend.
    pub async fn start(worker: Worker) -> Result<Self> {
        Ok(Self { worker: InlineWorker::start(worker).await?, at_most: MAX_RUNS })
    }

    /// Sets after how many attempts a call ends with an error (default: 1000).
    #[must_use]
    pub fn at_most(mut self, runs: usize) -> Self {
        self.at_most = runs;
        self
    }

    /// Runs the next job that is ready; `None` if there is none. The clock stands still.
    pub async fn run_next(&self) -> Result<Option<Run>> {
        self.worker.fire().await?;
        self.worker.run_next().await
    }

    /// Runs the jobs that are ready, and those that become ready by that. The clock stands still.
    /// Schedules that are due fire first.
    pub async fn run_ready(&self) -> Result<Runs> {
        let mut runs = Runs::default();
        self.run_into(&mut runs).await?;
        Ok(runs)
    }

    /// Runs all jobs of the queues that the worker serves, also those that wait: the clock jumps to
    /// the next one that is due, until none waits. It does not jump to schedules.
    pub async fn run_all(&self) -> Result<Runs> {
        let mut runs = Runs::default();
        self.run_into(&mut runs).await?;
        let mut jumps = 0;
        while let Some(due_at) = self.worker.next_due().await? {
            self.jump(due_at, &mut jumps)?;
            self.run_into(&mut runs).await?;
        }
        Ok(runs)
    }

    /// Moves the clock forward by this time, and runs what is due on the way, each job and each
    /// slot of a schedule at its time.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use queue_core::testing::{TestQueue, TestWorker};
    /// # use queue_core::{HandlerResult, Schedule, Task, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct CleanUp;
    /// # impl Task for CleanUp { const KIND: &'static str = "clean-up"; type Output = (); }
    /// # async fn clean_up(_: CleanUp) -> HandlerResult { Ok(()) }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let queue = TestQueue::new();
    /// let worker = Worker::new(&queue).handle(clean_up);
    /// let worker = worker.schedule("hourly", Schedule::cron("@hourly"), CleanUp);
    /// let worker = TestWorker::start(worker).await?;
    /// let day = Duration::from_secs(24 * 60 * 60);
    /// assert_eq!(worker.run_for(day).await?.len(), 24);
    /// # Ok::<(), queue_core::Error>(()) }).unwrap();
    /// ```
    pub async fn run_for(&self, time: Duration) -> Result<Runs> {
        let end = self.worker.now().saturating_add(time);
        let mut runs = Runs::default();
        let mut jumps = 0;
        loop {
            let slot = self.run_into(&mut runs).await?;
            let next = self.worker.next_due().await?.into_iter().chain(slot).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.jump(next, &mut jumps)?,
                None if self.worker.now() < end => self.worker.advance_to(end)?,
                None => return Ok(runs),
            }
        }
    }

    fn jump(&self, to: Timestamp, jumps: &mut usize) -> Result<()> {
        *jumps += 1;
        if *jumps > self.at_most {
            let fault = format!("the clock jumped {} times; see `TestWorker::at_most`", self.at_most);
            return Err(Error::invalid("run jobs", fault));
        }
        self.worker.advance_to(to)
    }

    /// Runs what is ready. Returns when the next schedule is due.
    async fn run_into(&self, runs: &mut Runs) -> Result<Option<Timestamp>> {
        let next = self.worker.fire().await?;
        while let Some(run) = self.worker.run_next().await? {
            if runs.len() == self.at_most {
                let (most, kind) = (self.at_most, &run.kind);
                let fault = format!(
                    "more than {most} attempts ran, the last of kind `{kind}`; see `TestWorker::at_most`"
                );
                return Err(Error::invalid("run jobs", fault));
            }
            runs.0.push(run);
        }
        Ok(next)
    }
}
