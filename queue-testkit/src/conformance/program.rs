//! A program on the backend, with handlers, a worker and reports of started attempts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backoff, Handler, HandlerResult, JobContext, JobId, JobQueue, Kind, NewJob, Payload, Queue,
    RunningWorker, TaskOptions, Worker,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::session::Session;
use super::wait::{in_time, until_none_is_left};

/// Expiry of a worker, which no case shall reach on a slow machine.
const LONG_EXPIRY: Duration = Duration::from_secs(120);
/// Grace of a shutdown for requests in progress, and maximum backoff of outages. Only a failing
/// case waits for all of it.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(20);
/// Pause between two checks whether jobs have ended.
pub(crate) const LOOK: Duration = Duration::from_millis(2);
/// Time that handlers get to end after a shutdown.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// Expiry of a worker in cases that wait for it.
pub(crate) const SHORT_EXPIRY: Duration = Duration::from_secs(2);

/// The start of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
}

/// A queue with handlers on one handle. Failed jobs are retried at once.
pub(crate) struct Program {
    pub(crate) queue: JobQueue,
    sender: UnboundedSender<Started>,
    receiver: UnboundedReceiver<Started>,
}

impl Program {
    pub(crate) fn new(session: &Session) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        Ok(Self { queue: JobQueue::new(session.backend()?), sender, receiver })
    }

    /// Handles a kind with `run`. Each attempt is reported before it begins.
    pub(crate) fn on<F, Fut>(&mut self, kind: &str, run: F) -> anyhow::Result<()>
    where
        F: Fn(JobContext, Payload) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let sender = self.sender.clone();
        let handler = move |context: JobContext, payload: Payload| {
            // Fails if the case has ended and dropped the receiver.
            let _ = sender.send(Started { id: context.id(), attempt: context.attempt() });
            run(context, payload)
        };
        self.on_handler(kind, Arc::new(handler))
    }

    /// Handles a kind with this handler. Its attempts are not reported.
    pub(crate) fn on_handler(&mut self, kind: &str, handler: Arc<dyn Handler>) -> anyhow::Result<()> {
        let at_once = Backoff::new(Duration::ZERO, Duration::ZERO);
        let options = TaskOptions::new().max_retries(3).retry(at_once);
        Ok(self.queue.handle(kind, handler, options)?)
    }

    /// Starts a worker with this many slots. Its expiry is long, so that it is not lost on a slow
    /// machine. Its shutdown releases all its jobs, however long that takes. A case that waits for
    /// the expiry, or whose handler ignores a shutdown, uses [`start_with`](Self::start_with).
    pub(crate) fn start(&self, slots: usize) -> anyhow::Result<RunningWorker> {
        self.start_with(slots, |_| {})
    }

    /// Starts a worker with changed settings.
    pub(crate) fn start_with(
        &self,
        slots: usize,
        change: impl FnOnce(&mut WorkerSettings),
    ) -> anyhow::Result<RunningWorker> {
        let mut settings = WorkerSettings::default()
            .slots(slots)
            .heartbeat_interval(Duration::from_millis(100))
            .worker_expiry(LONG_EXPIRY)
            .cancellation_grace(MAX_REQUEST_TIME)
            .rescue_interval(Duration::from_millis(50))
            .poll_interval(Duration::from_millis(500))
            .outage_backoff(Duration::from_millis(10))
            .outage_backoff_cap(MAX_REQUEST_TIME);
        change(&mut settings);
        Ok(Worker::new(&self.queue).settings(settings).start()?)
    }

    /// Waits for the next start of an attempt.
    pub(crate) async fn next_start(&mut self) -> anyhow::Result<Started> {
        let started = in_time("the start of an attempt", self.receiver.recv()).await?;
        started.context("all handlers were dropped")
    }

    /// Returns the jobs of all attempts that have started and were not returned yet.
    pub(crate) fn starts_so_far(&mut self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        while let Ok(started) = self.receiver.try_recv() {
            jobs.push(started.id);
        }
        jobs
    }

    /// Waits until all these jobs are finished.
    pub(crate) async fn ended(&self, ids: &[JobId]) -> anyhow::Result<()> {
        let backend = self.queue.backend();
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        until_none_is_left("the ends of jobs", || async {
            let records = inspect.jobs(ids).await?;
            let mut left = String::new();
            for (id, record) in ids.iter().zip(records) {
                match record {
                    Some(record) if record.state.is_finished() => {}
                    Some(record) => {
                        left += &format!("job {id} is {}, attempt {}; ", record.state, record.attempt);
                    }
                    None => left += &format!("job {id} does not exist; "),
                }
            }
            Ok((!left.is_empty()).then_some(left))
        })
        .await
    }
}

/// Shuts a worker down after its running jobs have ended.
pub(crate) async fn stop(worker: RunningWorker) -> anyhow::Result<()> {
    let report = worker.shutdown(GRACE).await;
    anyhow::ensure!(report.abandoned == 0, "{} handlers were abandoned", report.abandoned);
    Ok(())
}

/// Creates a job to submit.
pub(crate) fn new_job(kind: &str, json: &str) -> queue_core::Result<NewJob> {
    Ok(NewJob::new(Kind::new(kind)?, Payload::json(json)?))
}
