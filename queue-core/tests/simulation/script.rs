//! Jobs whose payload is a script, the workers that run them, and the log of their runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue_core::backend::ListRequest;
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backend, Backoff, HandlerResult, JobContext, JobError, JobId, JobQueue, JobState, NewJob, RunningWorker,
    TaskDefinition, TaskHandle, TaskOptions, Worker,
};

use crate::environment::World;
use crate::storage::Storage;

/// The script of a simulated job.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum Script {
    /// Takes this many milliseconds.
    Take(u64),
    /// Fails until this attempt.
    FailUntil(u32),
    Panic,
    SnoozeOnce,
    /// Runs until its token is cancelled.
    UntilCancelled,
    /// Never ends, even if its token is cancelled.
    Forever,
}

/// The order in which attempts started, and how often a job ran twice at the same time.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) started: Vec<(JobId, u32)>,
    /// The attempts whose handlers succeeded.
    pub(crate) succeeded: HashSet<(JobId, u32)>,
    running: HashMap<JobId, u32>,
    running_in: HashMap<u32, u32>,
    pub(crate) overlaps: u64,
}

impl Log {
    pub(crate) fn is_running_in(&self, process: u32) -> bool {
        self.running_in.get(&process).is_some_and(|runs| *runs > 0)
    }
}

/// The process that a handler runs in.
struct ProcessId(u32);

pub(crate) type SharedLog = Arc<Mutex<Log>>;

/// Logs a run, and its end also if its future is dropped.
struct LoggedRun(SharedLog, JobId, u32);

impl LoggedRun {
    fn begin(log: &SharedLog, context: &JobContext) -> Self {
        let process = context.state::<ProcessId>().map_or(0, |process| process.0);
        let mut entries = log.lock().unwrap();
        entries.started.push((context.id(), context.attempt()));
        let running = entries.running.entry(context.id()).or_default();
        *running += 1;
        if *running > 1 {
            entries.overlaps += 1;
        }
        *entries.running_in.entry(process).or_default() += 1;
        drop(entries);
        Self(Arc::clone(log), context.id(), process)
    }
}

impl Drop for LoggedRun {
    fn drop(&mut self) {
        let mut entries = self.0.lock().unwrap();
        *entries.running.get_mut(&self.1).unwrap() -= 1;
        *entries.running_in.get_mut(&self.2).unwrap() -= 1;
    }
}

pub(crate) fn task(world: &World, log: &SharedLog) -> TaskDefinition<Script> {
    let (world, log) = (world.clone(), Arc::clone(log));
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    let options = TaskOptions::new().max_retries(8).timeout(Duration::from_secs(20)).retry(backoff);
    TaskDefinition::from_fn("script", move |context: JobContext, script: Script| {
        let (world, log) = (world.clone(), Arc::clone(&log));
        async move {
            let _logged = LoggedRun::begin(&log, &context);
            play(&world, &context, script).await?;
            log.lock().unwrap().succeeded.insert((context.id(), context.attempt()));
            Ok(())
        }
    })
    .with_options(options)
}

async fn play(world: &World, context: &JobContext, script: Script) -> HandlerResult {
    match script {
        Script::Take(millis) => world.sleep(Duration::from_millis(millis)).await,
        Script::FailUntil(attempt) if context.attempt() < attempt => return Err(JobError::retry("not yet")),
        Script::Panic => panic!("as scripted"),
        Script::SnoozeOnce if context.progress().is_none() && world.random_below(2) == 0 => {
            return Err(JobError::snooze(Duration::from_secs(3)));
        }
        Script::FailUntil(_) | Script::SnoozeOnce => {}
        Script::UntilCancelled => {
            context.cancellation().cancelled().await;
            return Err(JobError::retry("stopped by its token"));
        }
        Script::Forever => std::future::pending().await,
    }
    Ok(())
}

pub(crate) fn settings() -> WorkerSettings {
    WorkerSettings::default().slots(4).batch(8)
}

pub(crate) fn serve(
    world: &World,
    process: u32,
    storage: &Storage,
    log: &SharedLog,
) -> (RunningWorker, TaskHandle<Script>) {
    let mut queue = JobQueue::new(Arc::new(storage.clone()));
    let handle = task(world, log).register(&mut queue).unwrap();
    let worker = Worker::new(&queue).settings(settings()).state(ProcessId(process));
    let worker = worker.start_in(&world.process(process)).unwrap();
    (worker, handle)
}

pub(crate) async fn states(storage: &Storage) -> Vec<JobState> {
    let all = storage.extensions().inspect.unwrap().list(ListRequest::new(u32::MAX)).await.unwrap();
    all.iter().map(|record| record.state).collect()
}

pub(crate) async fn wait_until_finished(world: &World, storage: &Storage) {
    while !states(storage).await.iter().all(|state| state.is_finished()) {
        world.sleep(Duration::from_millis(500)).await;
    }
}

/// Enqueues these scripts, and retries until the storage accepts them.
pub(crate) async fn enqueue_all(world: &World, handle: &TaskHandle<Script>, scripts: &[Script]) {
    let jobs = scripts.iter().map(|script| handle.job(script).unwrap()).collect();
    submit_all(world, handle, jobs).await;
}

/// Submits these jobs, and retries until the storage accepts them. Returns the ids.
pub(crate) async fn submit_all(world: &World, handle: &TaskHandle<Script>, jobs: Vec<NewJob>) -> Vec<JobId> {
    let ids = JobId::generate_many(jobs.len());
    let jobs: Vec<NewJob> = jobs.into_iter().zip(&ids).map(|(job, id)| job.id(*id)).collect();
    loop {
        match handle.submit(jobs.clone()).await {
            Ok(_) => return ids,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        world.sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn mixed_scripts(world: &World) -> Vec<Script> {
    let script = |_| match world.random_below(6) {
        0 => Script::FailUntil(3),
        1 => Script::SnoozeOnce,
        2 => Script::Take(world.random_below(8000)),
        _ => Script::Take(world.random_below(50)),
    };
    (0..60).map(script).collect()
}
