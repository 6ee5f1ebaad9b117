//! The public face of the runtime: building a worker, and holding it while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::runtime::environment::{ControlThread, Environment, Place, TokioEnvironment};
use crate::runtime::loops::shutdown::{ShutdownReport, shut_down};
use crate::runtime::loops::tasks::{WorkerTasks, spawn, wait_all};
use crate::runtime::loops::{claim, heartbeat, settle, slot, upkeep};
use crate::runtime::settings::WorkerSettings;
use crate::runtime::shared::running::Interruption;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::state::StateMap;
use crate::{Error, JobQueue, QueueName, Result};

/// Builds a worker: the queues that it serves, its slots, the state of its handlers.
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
/// One worker may serve several queues on backends of different kinds. They share its slots.
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

    /// Runs this many jobs at the same time (default: [`DEFAULT_SLOTS`](super::DEFAULT_SLOTS)).
    pub fn slots(mut self, slots: usize) -> Self {
        self.settings.slots = slots;
        self
    }

    /// Uses these settings. A later call of [`slots`](Self::slots) overrides their slots.
    pub fn settings(mut self, settings: WorkerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Gives the handlers a value. They find it by its type with
    /// [`JobContext::state`](crate::JobContext::state).
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(Arc::new(value));
        self
    }

    /// Starts the worker. Handlers run on the tokio runtime of the caller, everything else on a
    /// thread of its own. If the storage cannot be reached, the worker starts all the same and
    /// retries.
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): no handler is registered, a handler needs a state
    ///   that the worker lacks, the settings contradict each other, or there is no tokio runtime.
    /// - [`Unavailable`](crate::ErrorKind::Unavailable): the thread cannot be started.
    pub fn start(self) -> Result<RunningWorker> {
        self.check()?;
        let (environment, control) = TokioEnvironment::start()?;
        Ok(RunningWorker::start(self, &(Arc::new(environment) as Arc<dyn Environment>), Some(control)))
    }

    /// Starts the worker in an environment of the caller, e.g. a simulated one.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_in(self, environment: &Arc<dyn Environment>) -> Result<RunningWorker> {
        self.check()?;
        Ok(RunningWorker::start(self, environment, None))
    }

    fn check(&self) -> Result<()> {
        self.settings.check()?;
        if self.served.iter().all(|served| served.queue.kinds().is_empty()) {
            return Err(Error::invalid("start a worker", "no handler is registered on its queues"));
        }
        for served in &self.served {
            for (kind, registration) in served.queue.registrations() {
                if let Some(need) = registration.options.needs.iter().find(|need| !self.state.has(**need)) {
                    let fault =
                        format!("the handler of `{kind}` needs a `{}`, which the worker lacks", need.name);
                    return Err(Error::invalid("start a worker", fault));
                }
            }
        }
        Ok(())
    }
}

/// A worker that runs.
///
/// If it is dropped without [`shutdown`](Self::shutdown), it stops at once: its heartbeats end,
/// handlers are asked to stop, and other workers rescue its jobs when it expires.
#[derive(Debug)]
pub struct RunningWorker {
    state: Arc<WorkerState>,
    tasks: Option<WorkerTasks>,
    control: Option<ControlThread>,
}

impl RunningWorker {
    fn start(worker: Worker, environment: &Arc<dyn Environment>, control: Option<ControlThread>) -> Self {
        let Worker { served, settings, state } = worker;
        let backend = |(index, served): (usize, &Served)| {
            let names = served.names.as_deref();
            Arc::new(ServedBackend::new(index, &served.queue, names, settings.lease_grace))
        };
        let backends: Vec<_> = served.iter().enumerate().map(backend).collect();
        let state = WorkerState::new(Arc::clone(environment), settings, backends, state);
        let state = Arc::new(state);
        let tasks = Some(start_tasks(&state));
        Self { state, tasks, control }
    }

    /// Shuts the worker down: claims nothing more, releases jobs that have not started, and lets
    /// handlers finish for at most `grace`. Then cancels their tokens, and releases the jobs that
    /// they leave unfinished. Handlers read the end of the grace from
    /// [`JobContext::deadline`](crate::JobContext::deadline).
    ///
    /// # Cancellation
    /// Dropping this future drops the worker.
    pub async fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        let Some(tasks) = self.tasks.take() else { return ShutdownReport::default() };
        let (end, ended) = oneshot::channel();
        let state = Arc::clone(&self.state);
        // On the control thread, because handlers may block the threads of the caller.
        let shutdown = async move {
            let _ = end.send(shut_down(state, tasks, grace).await);
        };
        self.state.environment.spawn(Place::Control, Box::pin(shutdown));
        ended.await.unwrap_or_default()
    }
}

/// Starts the loops of each backend, and then one loop per slot.
fn start_tasks(state: &Arc<WorkerState>) -> WorkerTasks {
    let environment = &*state.environment;
    let mut tasks = WorkerTasks::default();
    for backend in &state.backends {
        let control = |task| spawn(environment, Place::Control, task);
        let shared = || (Arc::clone(state), Arc::clone(backend));
        let (worker, backend) = shared();
        tasks.heartbeats.push(control(Box::pin(heartbeat::serve(worker, backend))));
        let (worker, backend) = shared();
        tasks.heartbeats.push(control(Box::pin(upkeep::serve(worker, backend))));
        let (worker, backend) = shared();
        tasks.settles.push(control(Box::pin(settle::serve(worker, backend))));
        let (worker, backend) = shared();
        tasks.claims.push(control(Box::pin(claim::serve(worker, backend))));
    }
    for slot in 0..state.settings.slots {
        let task = Box::pin(slot::serve(Arc::clone(state), slot));
        tasks.slots.push(spawn(environment, Place::Handlers, task));
    }
    tasks
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.state.stop.claims.cancel();
        self.state.stop.settles.cancel();
        self.state.stop.heartbeats.cancel();
        self.state.slots.close();
        self.state.slots.interrupt(Interruption::LeaseLost, |_| true);
        if let Some(tasks) = self.tasks.take() {
            // The control thread must outlive the slots, because it has the timers of handlers that
            // are still stopping.
            let control = self.control.take();
            let last = async move {
                wait_all(tasks.slots).await;
                drop(control);
            };
            self.state.environment.spawn(Place::Handlers, Box::pin(last));
        }
    }
}
