//! A program on the backend: handlers, a worker, and what the handlers tell.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backoff, Handler, HandlerResult, JobContext, JobId, JobQueue, Kind, NewJob, Payload, Queue, RetryPolicy,
    RunningWorker, TaskOptions, Worker,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{sleep, timeout};

use super::session::Session;

/// How long something may take that must happen. Never waited for in full unless it does not.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a worker waits at its end for requests that are under way, and after outages at the most. Not waited for in full
/// either.
const SLOWEST_REQUEST: Duration = Duration::from_secs(20);
/// How often the storage is asked whether jobs have ended.
pub(crate) const LOOK: Duration = Duration::from_millis(2);
/// How long the handlers of a worker may go on when it shuts down.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// An expiry that is waited for.
pub(crate) const SHORT_EXPIRY: Duration = Duration::from_secs(2);

/// What a handler tells of an attempt when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
}

/// A queue with handlers on one handle. Failed jobs are tried again at once.
pub(crate) struct Program {
    pub(crate) queue: JobQueue,
    tell: UnboundedSender<Started>,
    told: UnboundedReceiver<Started>,
}

impl Program {
    pub(crate) fn new(session: &Session) -> anyhow::Result<Self> {
        let (tell, told) = mpsc::unbounded_channel();
        Ok(Self { queue: JobQueue::new(session.backend()?), tell, told })
    }

    /// Has `run` handle a kind; each attempt is told before it begins.
    pub(crate) fn on<F, Fut>(&mut self, kind: &str, run: F) -> anyhow::Result<()>
    where
        F: Fn(JobContext, Payload) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let tell = self.tell.clone();
        let handler = move |context: JobContext, payload: Payload| {
            // Nobody listens any more when the case is over.
            let _ = tell.send(Started { id: context.id(), attempt: context.attempt() });
            run(context, payload)
        };
        self.on_untold(kind, Arc::new(handler))
    }

    /// Has a handler of the case's own handle a kind.
    pub(crate) fn on_untold(&mut self, kind: &str, handler: Arc<dyn Handler>) -> anyhow::Result<()> {
        let at_once = Backoff::new(Duration::ZERO, Duration::ZERO, 0)?;
        let options = TaskOptions::new().max_retries(3).retry(RetryPolicy::Exponential(at_once));
        Ok(self.queue.handle(kind, handler, options)?)
    }

    /// Starts a worker with this many slots. Nobody gives it up because the machine is slow for a moment, and when it is
    /// shut down it gives back all that it has, however long that takes. A case that waits for its expiry, or has a handler
    /// that does not end when it is asked to, starts it with [other settings](Self::start_with).
    pub(crate) fn start(&self, slots: usize) -> anyhow::Result<RunningWorker> {
        self.start_with(slots, |_| {})
    }

    /// The same with other settings.
    pub(crate) fn start_with(
        &self,
        slots: usize,
        change: impl FnOnce(&mut WorkerSettings),
    ) -> anyhow::Result<RunningWorker> {
        let mut settings = WorkerSettings::default()
            .slots(slots)
            .heartbeat_interval(Duration::from_millis(100))
            .worker_expiry(PATIENCE * 2)
            .cancellation_grace(SLOWEST_REQUEST)
            .rescue_interval(Duration::from_millis(50))
            .poll_interval(Duration::from_millis(500))
            .outage_backoff(Duration::from_millis(10))
            .outage_backoff_cap(SLOWEST_REQUEST);
        change(&mut settings);
        Ok(Worker::new().serve(&self.queue).settings(settings).start()?)
    }

    /// The next attempt that starts.
    pub(crate) async fn next_start(&mut self) -> anyhow::Result<Started> {
        let told = timeout(PATIENCE, self.told.recv()).await.context("no handler was started")?;
        told.context("the handlers are gone")
    }

    /// The jobs of all attempts that have started and were not asked for yet.
    pub(crate) fn starts_so_far(&mut self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        while let Ok(started) = self.told.try_recv() {
            jobs.push(started.id);
        }
        jobs
    }

    /// Waits until all of these jobs have ended.
    pub(crate) async fn ended(&self, ids: &[JobId]) -> anyhow::Result<()> {
        let backend = self.queue.backend();
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let look = async {
            loop {
                let records = inspect.jobs(ids).await?;
                if records.iter().flatten().filter(|record| record.state.is_finished()).count() == ids.len() {
                    return anyhow::Ok(());
                }
                sleep(LOOK).await;
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("the jobs {ids:?} did not all end within {PATIENCE:?}"),
        }
    }
}

/// Shuts a worker down once what runs has ended.
pub(crate) async fn stop(worker: RunningWorker) -> anyhow::Result<()> {
    let report = worker.shutdown(GRACE).await;
    anyhow::ensure!(report.abandoned == 0, "{} handlers were abandoned", report.abandoned);
    Ok(())
}

/// A job to submit.
pub(crate) fn new_job(kind: &str, json: &str) -> queue_core::Result<NewJob> {
    Ok(NewJob::new(Kind::new(kind)?, Payload::json(json)?))
}
