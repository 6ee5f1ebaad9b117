//! Building a worker.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "testing")]
use crate::clock::Clock;
use crate::context::{ShutdownDeadline, WorkerContext};
use crate::job_queue::{Registration, Registrations, add_handler};
use crate::middleware::Layers;
#[cfg(feature = "testing")]
use crate::runtime::environment::ControlThread;
use crate::runtime::environment::{Environment, TokioEnvironment};
use crate::runtime::loops::shutdown::ShutdownReport;
use crate::runtime::running_worker::RunningWorker;
use crate::runtime::settings::WorkerSettings;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
#[cfg(feature = "schedules")]
use crate::schedule::{Declaration, Declared};
use crate::state::StateMap;
use crate::task::{blocking_handler_of, handler_of};
use crate::{
    BlockingTaskFunction, Error, Handler, JobQueue, Kind, Middleware, QueueName, Result, Task, TaskFunction,
    TaskOptions,
};
#[cfg(feature = "schedules")]
use crate::{Deployment, IntoJob, Schedule};

/// Builds a worker: the handlers, the state that they share, the slots.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use queue_core::{HandlerResult, JobQueue, MemoryBackend, State, Task, Worker};
/// use tokio::sync::mpsc;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Greet { name: String }
///
/// impl Task for Greet { // or `#[derive(Task)]`
///     const KIND: &'static str = "greet";
///     type Output = ();
/// }
///
/// async fn greet(job: Greet, out: State<mpsc::Sender<String>>) -> HandlerResult {
///     out.send(format!("hello {}", job.name)).await?;
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// let (out, mut greetings) = mpsc::channel::<String>(1);
/// let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let worker = Worker::new(&jobs).state(out).handle(greet).slots(4).start()?;
/// jobs.enqueue(Greet { name: "ada".into() }).await?;
/// assert_eq!(greetings.recv().await.unwrap(), "hello ada");
/// worker.shutdown(Duration::from_secs(5)).await;
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// A worker runs the jobs of its own handlers, and of those that were registered on the handles
/// that it serves. One worker may serve several backends of different kinds. They share its slots.
#[derive(Debug)]
#[must_use = "a worker does nothing until it is started"]
pub struct Worker {
    served: Vec<JobQueue>,
    handlers: Registrations,
    queues: Option<Vec<QueueName>>,
    settings: WorkerSettings,
    state: StateMap,
    layers: Layers,
    #[cfg(feature = "schedules")]
    declared: Declared,
    /// The first fault of the building, which `start` returns.
    fault: Option<Error>,
}

impl Worker {
    /// A worker of this queue, without handlers of its own and with the default settings.
    pub fn new(jobs: &JobQueue) -> Self {
        Self {
            served: vec![jobs.clone()],
            handlers: HashMap::new(),
            queues: None,
            settings: WorkerSettings::default(),
            state: StateMap::default(),
            layers: Layers::default(),
            #[cfg(feature = "schedules")]
            declared: Declared::default(),
            fault: None,
        }
    }

    /// Serves the jobs of another backend too.
    pub fn serve(mut self, jobs: &JobQueue) -> Self {
        self.served.push(jobs.clone());
        self
    }

    /// Handles the jobs of a payload type with an async function: the payload first, then what else
    /// it needs (see [`TaskFunction`]). A worker that lacks a [`State`](crate::State) which a
    /// function asks for does not start. A kind can have one handler.
    pub fn handle<T: Task, Args: 'static>(self, function: impl TaskFunction<T, Args>) -> Self {
        self.add::<T>(handler_of(function))
    }

    /// Handles the jobs of a payload type with a function that blocks its thread. It runs on
    /// tokio's pool of blocking threads, and occupies its slot until it returns. As a thread cannot
    /// be stopped, it should check its
    /// [`CancellationToken`](crate::CancellationToken) regularly.
    pub fn handle_blocking<T: Task, Args: 'static>(
        self,
        function: impl BlockingTaskFunction<T, Args>,
    ) -> Self {
        self.add::<T>(blocking_handler_of(function))
    }

    fn add<T: Task>(mut self, (handler, options): (Arc<dyn Handler>, TaskOptions)) -> Self {
        let registration = Arc::new(Registration { handler, options });
        let added = Kind::new(T::KIND).and_then(|kind| add_handler(&mut self.handlers, kind, registration));
        self.note_fault(added);
        #[cfg(feature = "schedules")]
        if let Some((schedule, job)) = T::schedule() {
            return self.schedule(T::KIND, schedule, job);
        }
        self
    }

    fn note_fault(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.fault.get_or_insert(error);
        }
    }

    /// Stores a schedule right after the worker has started, in the queue that the worker was made
    /// of, as [`Schedules::put`](crate::Schedules::put) does. If the storage is away, it tries
    /// again until it succeeds. A type that has a [schedule](Task::schedule) needs no call:
    /// `handle` suffices.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use queue_core::{HandlerResult, JobQueue, Overlap, Schedule, Task, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Sync { shop: i64 }
    /// # impl Task for Sync { const KIND: &'static str = "sync"; type Output = (); }
    /// # async fn sync(_: Sync) -> HandlerResult { Ok(()) }
    /// # fn build(jobs: &JobQueue) -> Worker {
    /// let often = Schedule::every(Duration::from_secs(30)).overlap(Overlap::Skip);
    /// Worker::new(jobs).handle(sync).schedule("sync-berlin", often, Sync { shop: 7 })
    /// # }
    /// ```
    #[cfg(feature = "schedules")]
    pub fn schedule<J: IntoJob>(mut self, name: &str, schedule: Schedule, job: J) -> Self {
        let Some(jobs) = self.served.first() else { return self };
        let declaration = Declaration::new(jobs, name, schedule, job);
        let added = declaration.and_then(|declaration| self.declared.add(declaration));
        self.note_fault(added);
        self
    }

    /// Says which program this is, and which revision of it: a number that grows with each
    /// deployment, also with one of older code. The schedules of the worker then belong to the
    /// program. Those that older revisions declared and this one does not are removed. Older
    /// processes that start later neither change them nor bring them back.
    ///
    /// Programs that declare different schedules need different names: 1 to
    /// [`MAX_NAME_BYTES`](crate::limits::MAX_NAME_BYTES) bytes, no white space.
    ///
    /// Without a deployment, no schedule is removed, and the program that started last decides.
    #[cfg(feature = "schedules")]
    pub fn deployment(mut self, program: impl Into<String>, revision: u64) -> Self {
        let deployment = Deployment::new(program, revision);
        self.note_fault(crate::name::check("name the program of a deployment", &deployment.program));
        self.declared.set_deployment(deployment);
        self
    }

    /// Serves these queues only. By default it serves the default queue, and each queue that the
    /// options of its tasks name.
    pub fn queues(mut self, queues: impl IntoIterator<Item = QueueName>) -> Self {
        self.queues = Some(queues.into_iter().collect());
        self
    }

    /// Runs this many jobs at the same time (default: 32,
    /// [`DEFAULT_SLOTS`](super::DEFAULT_SLOTS)).
    #[doc(alias = "concurrency")]
    pub fn slots(mut self, slots: usize) -> Self {
        self.settings.slots = slots;
        self
    }

    /// Uses these settings. A later call of [`slots`](Self::slots) overrides their slots.
    pub fn settings(mut self, settings: WorkerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Gives the handlers a value, which they find by its type: [`State<T>`](crate::State).
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(Arc::new(value));
        self
    }

    /// Runs this around all handlers of the worker. Of several, the first is outermost: it sees the
    /// job first, and the result last.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.layers.add(middleware);
        self
    }

    /// Starts the worker. Handlers run on the tokio runtime of the caller, everything else on a
    /// thread of its own. If the storage cannot be reached, the worker starts all the same and
    /// retries.
    ///
    /// The first worker of a process installs a panic hook that notes the place of each panic, for
    /// the error of the attempt, and then calls the hook that was there before. If the application
    /// replaces the hook later, errors of panics have the message but not the place.
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid): no handler is registered, a handler needs a state
    ///   that the worker lacks, a kind is not a valid name, a schedule is not valid, the settings
    ///   contradict each other, or there is no tokio runtime.
    /// - [`Conflict`](crate::ErrorKind::Conflict): a kind has two handlers, or two schedules have
    ///   one name.
    /// - [`Unavailable`](crate::ErrorKind::Unavailable): the thread cannot be started.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): the worker declares schedules, and the
    ///   backend stores none.
    pub fn start(mut self) -> Result<RunningWorker> {
        let handlers = self.check()?;
        let (environment, control) = TokioEnvironment::start()?;
        Ok(RunningWorker::new(self.into_state(handlers, Arc::new(environment)), Some(control)))
    }

    /// Starts the worker in an environment of the caller, e.g. a simulated one.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_in(mut self, environment: &Arc<dyn Environment>) -> Result<RunningWorker> {
        let handlers = self.check()?;
        Ok(RunningWorker::new(self.into_state(handlers, Arc::clone(environment)), None))
    }

    /// Starts the worker, waits until `signal` ends, and then shuts the worker down: the last line
    /// of a program that only works.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use queue_core::{Result, Worker};
    /// # async fn run(worker: Worker, terminated: impl Future<Output = ()>) -> Result<()> {
    /// worker.run_until(terminated, Duration::from_secs(30)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The crate `queue` has such a signal: `queue::terminated()`, which is SIGTERM or Ctrl-C.
    /// `grace` and the report are those of [`RunningWorker::shutdown`].
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    ///
    /// # Cancellation
    /// Dropping the future drops the worker, as [`RunningWorker`] describes.
    pub async fn run_until(
        self,
        signal: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<ShutdownReport> {
        let running = self.start()?;
        signal.await;
        Ok(running.shutdown(grace).await)
    }

    /// The parts of the worker, for a caller that runs its jobs, and the clock of each backend.
    #[cfg(feature = "testing")]
    pub(crate) fn into_parts(mut self) -> Result<(WorkerState, Vec<Clock>, ControlThread)> {
        let handlers = self.check()?;
        let (environment, control) = TokioEnvironment::start()?;
        let clocks = self.served.iter().map(|jobs| jobs.clock().clone()).collect();
        Ok((self.into_state(handlers, Arc::new(environment)), clocks, control))
    }

    fn into_state(self, handlers: Vec<Registrations>, environment: Arc<dyn Environment>) -> WorkerState {
        #[cfg(feature = "schedules")]
        let declared = self.declared;
        let Self { served, queues, settings, state, .. } = self;
        let shutdown = ShutdownDeadline::default();
        let backends = served.iter().zip(handlers).enumerate().map(|(index, (jobs, handlers))| {
            let (state, shutdown) = (state.clone(), Arc::clone(&shutdown));
            let context = WorkerContext { state, shutdown, jobs: Some(jobs.clone()) };
            let queues = queues.as_deref();
            let backend = ServedBackend::new(index, jobs, context, handlers, queues, settings.lease_grace);
            #[cfg(feature = "schedules")]
            let backend = if index == 0 { backend.declare(declared.clone()) } else { backend };
            Arc::new(backend)
        });
        let backends = backends.collect();
        WorkerState::new(environment, settings, backends, shutdown)
    }

    /// Returns the handlers for each backend that it serves.
    fn check(&mut self) -> Result<Vec<Registrations>> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.settings.check()?;
        #[cfg(feature = "schedules")]
        if let Some(jobs) = self.served.first().filter(|_| !self.declared.is_empty()) {
            crate::backend::schedules(&**jobs.backend())?;
        }
        let handlers = self.served.iter().map(|jobs| self.handlers_of(jobs)).collect::<Result<Vec<_>>>()?;
        if handlers.iter().all(HashMap::is_empty) {
            return Err(Error::invalid("start a worker", "it has no handler: see `Worker::handle`"));
        }
        Ok(handlers)
    }

    fn handlers_of(&self, jobs: &JobQueue) -> Result<Registrations> {
        let mut all = jobs.registrations();
        for (kind, registration) in &self.handlers {
            add_handler(&mut all, kind.clone(), Arc::clone(registration))?;
        }
        for (kind, registration) in &all {
            if let Some(need) = registration.options.needs.iter().find(|need| !self.state.has(**need)) {
                let fault = format!(
                    "the handler of `{kind}` needs a `{}`; `Worker::state` was given {}",
                    need.name, self.state
                );
                return Err(Error::invalid("start a worker", fault));
            }
        }
        if !self.layers.is_empty() {
            for registration in all.values_mut() {
                *registration = Arc::new(registration.inside(&self.layers));
            }
        }
        Ok(all)
    }
}
