//! Putting a worker together, and holding it while it runs.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::environment::{ControlThread, TokioEnvironment};
use crate::runtime::loops::shutdown::{ShutdownReport, Tasks, shut_down, spawn, wait_all};
use crate::runtime::loops::{claim, heartbeat, settle, slot, upkeep};
use crate::runtime::run::attempt::Interruption;
use crate::runtime::shared::served_backend::Station;
use crate::runtime::shared::worker_state::Engine;
use crate::runtime::{Environment, Place, WorkerSettings};
use crate::state::StateMap;
use crate::{Error, JobQueue, QueueName, Result};

/// A worker that is being put together: the queues it serves, its slots, the state of its handlers.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use queue_core::{HandlerResult, JobContext, JobQueue, MemoryBackend, TaskDefinition, Worker};
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// let (done, mut jobs) = tokio::sync::mpsc::unbounded_channel();
/// let greet = TaskDefinition::from_fn("greet", move |_: JobContext, name: String| {
///     let done = done.clone();
///     async move {
///         let _ = done.send(format!("hello {name}"));
///         HandlerResult::Ok(())
///     }
/// });
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let greet = greet.register(&mut queue)?;
/// let worker = Worker::new().serve(&queue).slots(4).start()?;
/// greet.enqueue(&"ada".to_owned()).await?;
/// assert_eq!(jobs.recv().await.unwrap(), "hello ada");
/// worker.shutdown(Duration::from_secs(5)).await;
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// One worker may serve several queues on backends of different kinds; they share its slots.
#[derive(Debug, Default)]
#[must_use]
pub struct Worker {
    served: Vec<Served>,
    settings: WorkerSettings,
    state: StateMap,
}

#[derive(Debug)]
struct Served {
    queue: JobQueue,
    names: Option<Vec<QueueName>>,
}

impl Worker {
    /// A worker that serves nothing yet, with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves the kinds that are registered on `queue`, in the default queue and in each queue that
    /// their options name.
    pub fn serve(mut self, queue: &JobQueue) -> Self {
        self.served.push(Served { queue: queue.share(), names: None });
        self
    }

    /// Serves the kinds that are registered on `queue`, in these queues only.
    pub fn serve_queues(mut self, queue: &JobQueue, names: impl IntoIterator<Item = QueueName>) -> Self {
        self.served.push(Served { queue: queue.share(), names: Some(names.into_iter().collect()) });
        self
    }

    /// Runs this many jobs at the same time; [`DEFAULT_SLOTS`](super::DEFAULT_SLOTS) unless said.
    pub fn slots(mut self, slots: usize) -> Self {
        self.settings.slots = slots;
        self
    }

    /// Uses these settings; [`slots`](Self::slots) after it overrides theirs.
    pub fn settings(mut self, settings: WorkerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Gives the handlers a value, which they find by its type with
    /// [`JobContext::state`](crate::JobContext::state).
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(Arc::new(value));
        self
    }

    /// Starts on the tokio runtime of the caller: handlers run there, everything else on a thread of
    /// its own. A storage that is away does not fail the start; it is waited for.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if there is nothing to serve, a handler needs a state
    /// that was not given, the settings contradict each other, or there is no tokio runtime;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the thread cannot be started.
    pub fn start(self) -> Result<RunningWorker> {
        self.check()?;
        let (environment, control) = TokioEnvironment::start()?;
        Ok(RunningWorker::start(self, &(Arc::new(environment) as Arc<dyn Environment>), Some(control)))
    }

    /// Starts in an environment of the caller's, e.g. a simulated one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(self, environment: &Arc<dyn Environment>) -> Result<RunningWorker> {
        self.check()?;
        Ok(RunningWorker::start(self, environment, None))
    }

    fn check(&self) -> Result<()> {
        self.settings.check()?;
        if self.served.iter().all(|served| served.queue.kinds().is_empty()) {
            return Err(Error::invalid("start a worker", "no handler is registered on what it serves"));
        }
        for served in &self.served {
            for (kind, registration) in served.queue.registrations() {
                if let Some(need) = registration.options.needs.iter().find(|need| !self.state.has(**need)) {
                    let fault =
                        format!("the handler of `{kind}` needs a `{}`, and none was given", need.name);
                    return Err(Error::invalid("start a worker", fault));
                }
            }
        }
        Ok(())
    }
}

/// A worker that runs.
///
/// Dropped without [`shutdown`](Self::shutdown) it stops at once: its heartbeat ends, handlers are
/// asked to stop, and its jobs are taken over by others when it expires.
#[derive(Debug)]
pub struct RunningWorker {
    engine: Arc<Engine>,
    tasks: Option<Tasks>,
    control: Option<ControlThread>,
}

impl RunningWorker {
    fn start(worker: Worker, environment: &Arc<dyn Environment>, control: Option<ControlThread>) -> Self {
        let Worker { served, settings, state } = worker;
        let station = |(index, served): (usize, &Served)| {
            Arc::new(Station::new(index, &served.queue, served.names.as_deref(), settings.lease_grace))
        };
        let stations: Vec<_> = served.iter().enumerate().map(station).collect();
        let slots = settings.slots;
        let engine = Arc::new(Engine::new(Arc::clone(environment), settings, stations.clone(), state));
        let mut tasks = Tasks::default();
        for station in stations {
            let control = |task| spawn(&**environment, Place::Control, task);
            let shared = || (Arc::clone(&engine), Arc::clone(&station));
            let (engine, station) = shared();
            tasks.beats.push(control(Box::pin(heartbeat::serve(engine, station))));
            let (engine, station) = shared();
            tasks.beats.push(control(Box::pin(upkeep::serve(engine, station))));
            let (engine, station) = shared();
            tasks.settles.push(control(Box::pin(settle::serve(engine, station))));
            let (engine, station) = shared();
            tasks.claims.push(control(Box::pin(claim::serve(engine, station))));
        }
        for slot in 0..slots {
            let task = Box::pin(slot::serve(Arc::clone(&engine), slot));
            tasks.slots.push(spawn(&**environment, Place::Handlers, task));
        }
        Self { engine, tasks: Some(tasks), control }
    }

    /// Shuts down: claims nothing more, gives back what has not started, lets handlers finish for at
    /// most `grace`, then cancels their tokens and gives back what they leave unfinished. Handlers
    /// see the end coming by [`JobContext::deadline`](crate::JobContext::deadline).
    ///
    /// # Cancellation
    /// Dropping this future is dropping the worker.
    pub async fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        let Some(tasks) = self.tasks.take() else { return ShutdownReport::default() };
        let (end, ended) = tokio::sync::oneshot::channel();
        let engine = Arc::clone(&self.engine);
        // On the control thread: handlers may hold up those of the caller.
        let shutdown = async move {
            let _ = end.send(shut_down(engine, tasks, grace).await);
        };
        self.engine.environment.spawn(Place::Control, Box::pin(shutdown));
        ended.await.unwrap_or_default()
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.engine.stop_claims.cancel();
        self.engine.stop_settles.cancel();
        self.engine.stop_beats.cancel();
        self.engine.close_slots();
        self.engine.interrupt(Interruption::LeaseLost, |_| true);
        if let Some(tasks) = self.tasks.take() {
            // The timers of handlers that are still stopping belong to the control thread.
            let control = self.control.take();
            let last = async move {
                wait_all(tasks.slots).await;
                drop(control);
            };
            self.engine.environment.spawn(Place::Handlers, Box::pin(last));
        }
    }
}
