//! A worker that drains what is enqueued all the while, and what must be true of it whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backend, Client, Enqueuer, ErrorKind, HandlerResult, JobContext, JobId, JobQueue, NewJob, Payload, Queue,
    RunningWorker, State, TaskOptions, Worker,
};
use queue_postgres::{PostgresBackend, PostgresConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::{Place, in_time, kind, until};
use crate::watched::Watched;

/// Each run of a handler: the job and the number of the attempt, with how often it was seen.
type Runs = Arc<Mutex<BTreeMap<(JobId, u32), u32>>>;

/// The jobs of a batch share a fate.
const BATCH: usize = 3;

/// What became of everything that was enqueued, as the caller was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: BTreeSet<JobId>,
    unknown: BTreeSet<JobId>,
    refused: BTreeSet<JobId>,
}

pub(crate) struct Drain {
    place: Arc<Place>,
    pub(crate) backend: Arc<Watched>,
    runs: Runs,
    worker: RunningWorker,
    producer: JoinHandle<Told>,
    stop: watch::Sender<bool>,
}

/// Everything is noticed within a second.
fn settings() -> WorkerSettings {
    WorkerSettings {
        slots: 8,
        heartbeat_interval: Duration::from_millis(100),
        worker_expiry: Duration::from_secs(1),
        rescue_interval: Duration::from_millis(100),
        head_interval: Duration::from_millis(500),
        outage_backoff: Duration::from_millis(10),
        outage_backoff_cap: Duration::from_millis(200),
        ..WorkerSettings::default()
    }
}

impl Drain {
    /// Starts a worker, and a client with a handle of its own, both with this configuration.
    pub(crate) async fn start(place: Arc<Place>, config: PostgresConfig) -> Self {
        let backend = Arc::new(Watched::new(PostgresBackend::open(config.clone()).await.unwrap()));
        let runs = Runs::default();
        let seen = Arc::clone(&runs);
        let handler = move |context: JobContext, _: Payload| {
            let seen = Arc::clone(&seen);
            async move {
                *seen.lock().unwrap().entry((context.id(), context.attempt())).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
                HandlerResult::Ok(())
            }
        };
        let mut queue = JobQueue::new(Arc::clone(&backend) as Arc<dyn Backend>);
        queue.handle(kind().as_str(), Arc::new(handler), TaskOptions::new()).unwrap();
        let worker = Worker::new().serve(&queue).settings(settings()).start().unwrap();
        let client = Client::new(Arc::new(PostgresBackend::open(config).await.unwrap()));
        let stop = watch::Sender::new(false);
        let producer = tokio::spawn(produce(client, stop.subscribe()));
        let drain = Self { place, backend, runs, worker, producer, stop };
        drain.goes_on().await;
        drain
    }

    /// Waits until many more attempts have run than so far.
    pub(crate) async fn goes_on(&self) {
        let runs = || self.runs.lock().unwrap().len();
        let enough = runs() + 50;
        let what = || format!("the worker goes on; what failed: {:?}", self.backend.report());
        until(&what(), || async { runs() >= enough }).await;
    }

    /// Waits until many more operations have failed than so far.
    pub(crate) async fn fails(&self) {
        let enough = self.backend.failures() + 3;
        until("the worker notices", || async { self.backend.failures() >= enough }).await;
    }

    /// Ends the client, lets the worker do the rest, and checks all that was promised.
    pub(crate) async fn finish(self) {
        self.goes_on().await;
        self.stop.send_replace(true);
        let told = in_time("the client", self.producer).await.unwrap();
        let direct = self.place.open().await;
        let audit = direct.audit().unwrap();
        let what = format!("nothing is left to do; what failed: {:?}", self.backend.report());
        until(&what, || async { audit.stored().await.unwrap().live.is_empty() }).await;
        let report = in_time("the shutdown", self.worker.shutdown(Duration::from_secs(5))).await;
        assert_eq!(report.abandoned, 0);

        let stored = audit.stored().await.unwrap();
        let jobs: BTreeSet<JobId> = stored.jobs.iter().copied().collect();
        let lost: Vec<_> = told.acknowledged.difference(&jobs).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let phantoms: Vec<_> = told.refused.intersection(&jobs).collect();
        assert!(phantoms.is_empty(), "refused, and there all the same: {phantoms:?}");
        let known: BTreeSet<JobId> = told.acknowledged.union(&told.unknown).copied().collect();
        assert!(jobs.is_subset(&known), "nobody enqueued some of {jobs:?}");

        // One outcome a job, for one attempt that ran once.
        let runs = self.runs.lock().unwrap();
        assert_eq!(stored.outcomes.len(), jobs.len());
        assert!(stored.outcomes.iter().all(|row| jobs.contains(&row.id)));
        for row in &stored.outcomes {
            assert_eq!(row.state, State::Completed, "{row:?}");
            assert_eq!(runs.get(&(row.id, row.attempt)), Some(&1), "{row:?}");
        }
        for ((job, attempt), times) in &*runs {
            assert_eq!(*times, 1, "the attempt {attempt} of {job} was run more than once");
        }
    }
}

/// Enqueues until told to stop; the ids are the client's own.
async fn produce(client: Client, stop: watch::Receiver<bool>) -> Told {
    let mut told = Told::default();
    while !*stop.borrow() {
        let ids = JobId::generate_many(BATCH);
        let job = |id: &JobId| NewJob::new(kind(), Payload::json("1").unwrap()).id(*id).max_retries(100);
        let fate = match client.submit(ids.iter().map(job).collect()).await {
            Ok(submitted) => {
                assert!(submitted.iter().all(|job| job.inserted) && submitted.len() == BATCH);
                &mut told.acknowledged
            }
            Err(error) => match error.kind() {
                ErrorKind::UnknownOutcome => {
                    assert_eq!(error.jobs(), ids, "{error}");
                    &mut told.unknown
                }
                ErrorKind::Unavailable | ErrorKind::Busy => &mut told.refused,
                _ => panic!("{error}"),
            },
        };
        fate.extend(ids);
        // Leaves the worker some room on a small machine.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    told
}
