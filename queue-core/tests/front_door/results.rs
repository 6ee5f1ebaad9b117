//! Callers that wait for results.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{Extensions, JobEnd, Watch, Wrapper};
use queue_core::{
    Backend, Error, ErrorKind, HandlerResult, JobError, JobId, JobQueue, Kind, Limits, MemoryBackend, NewJob,
    Payload, Result, ResultErrorKind, Unique, Worker,
};
use tokio::time::timeout;

use crate::tasks::{Charge, Measure, Scale};
use crate::{PATIENCE, queue};

const NEVER: Duration = Duration::from_secs(3600);

/// Counts the requests for the ends of jobs, and can fail or hide them.
#[derive(Debug)]
struct CountedBackend {
    inner: MemoryBackend,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    faults: AtomicUsize,
    fault: ErrorKind,
    damaged: OnceLock<JobId>,
    offers_watch: bool,
}

impl Default for CountedBackend {
    fn default() -> Self {
        Self {
            inner: MemoryBackend::new(),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            faults: AtomicUsize::new(0),
            fault: ErrorKind::Unavailable,
            damaged: OnceLock::new(),
            offers_watch: true,
        }
    }
}

#[async_trait]
impl Wrapper for CountedBackend {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn extensions(&self) -> Extensions<'_> {
        let mut extensions = self.inner.extensions();
        extensions.watch = self.offers_watch.then_some(self as &dyn Watch);
        extensions
    }
}

#[async_trait]
impl Watch for CountedBackend {
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let ends = self.inner.watch(jobs).await;
        if self.damaged.get().is_some_and(|damaged| jobs.contains(damaged)) {
            return Err(Error::new(ErrorKind::Corrupt, "read", "a row is damaged"));
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let fails = self.faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match fails {
            Ok(_) => Err(Error::new(self.fault, "read", "the storage is away")),
            Err(_) => ends,
        }
    }
}

fn start(jobs: &JobQueue) -> queue_core::RunningWorker {
    Worker::new(jobs).handle(measure).handle(charge).start().unwrap()
}

async fn measure(job: Measure) -> HandlerResult<usize> {
    Ok(job.text.len())
}

async fn charge(job: Charge) -> HandlerResult {
    if job.order < 0 { Err(JobError::bury("no such order")) } else { Ok(()) }
}

async fn measured(jobs: &JobQueue, text: &str) -> usize {
    let job = jobs.enqueue(Measure { text: text.to_owned() }).await.unwrap();
    timeout(PATIENCE, job.result()).await.unwrap().unwrap()
}

#[tokio::test]
async fn result_is_that_of_the_handler() {
    let jobs =
        JobQueue::with_limits(Arc::new(MemoryBackend::new()), Limits::default().result_poll_interval(NEVER));
    let _worker = start(&jobs);
    assert_eq!(measured(&jobs, "four").await, 4);
    let job = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    timeout(PATIENCE, job.result()).await.unwrap().unwrap();
    timeout(PATIENCE, jobs.result::<Option<u8>>(job.id())).await.unwrap().unwrap();
    assert_eq!(jobs.wait(job.id()).await.unwrap(), JobEnd::Completed { result: None });
}

#[tokio::test]
async fn error_names_the_job_and_the_cause() {
    let jobs = queue();
    let _worker = start(&jobs);
    let dead = jobs.enqueue(Charge { order: -1 }).await.unwrap();
    let error = timeout(PATIENCE, dead.result()).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.job(), error.message()),
        (ResultErrorKind::Dead, dead.id(), "no such order")
    );

    let never = JobId::generate();
    let error = jobs.result::<u8>(never).await.unwrap_err();
    assert_eq!(error.kind(), ResultErrorKind::Gone);
    let text = error.to_string();
    assert!(text.contains(&never.to_string()) && text.contains("pruned") && text.contains("never"), "{text}");

    let job = jobs.enqueue(Measure { text: "four".into() }).await.unwrap();
    let error = timeout(PATIENCE, jobs.result::<Vec<String>>(job.id())).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ResultErrorKind::Undecodable);
    let text = error.to_string();
    assert!(text.contains(&job.id().to_string()) && text.contains("Vec<alloc::string::String>"), "{text}");

    let job = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    let error = timeout(PATIENCE, jobs.result::<u8>(job.id())).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("without one"), "{error}");
}

#[tokio::test]
async fn cancelled_job_has_no_result() {
    let jobs = queue();
    let job = jobs.enqueue(Scale(1.0)).await.unwrap();
    jobs.cancel(job.id()).await.unwrap();
    let error = job.result().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ResultErrorKind::Cancelled, ""));
    assert!(error.to_string().ends_with("the job was cancelled"), "{error}");
}

#[tokio::test]
async fn duplicate_has_the_result_of_the_holder() {
    let jobs = queue();
    let enqueue = |text: &str| jobs.enqueue(Measure { text: text.into() }).unique(Unique::key("a"));
    let (first, second) = (enqueue("four").await.unwrap(), enqueue("seventy").await.unwrap());
    assert_eq!((second.is_new(), second.id()), (false, first.id()));
    let _worker = start(&jobs);
    assert_eq!(timeout(PATIENCE, second.result()).await.unwrap().unwrap(), 4);
}

/// A thousand callers wait before the jobs run. Requests never overlap, and their number does not
/// grow with that of the callers.
#[tokio::test]
async fn thousand_callers_share_few_requests() {
    let backend = Arc::new(CountedBackend::default());
    let limits = Limits::default().result_poll_interval(NEVER);
    let jobs = JobQueue::with_limits(backend.clone(), limits);
    let batch = (0..1000).map(|number: usize| Measure { text: "x".repeat(number % 50) });
    let handles = jobs.enqueue_batch(batch).await.unwrap();
    let waits: Vec<_> = handles
        .into_iter()
        .map(|job| tokio::spawn(async move { timeout(PATIENCE, job.result()).await.unwrap().unwrap() }))
        .collect();
    while backend.requests.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let _worker = start(&jobs);
    for (number, wait) in waits.into_iter().enumerate() {
        assert_eq!(wait.await.unwrap(), number % 50);
    }
    let requests = backend.requests.load(Ordering::SeqCst);
    assert!(requests < 200, "{requests} requests for 1000 callers");
    assert_eq!(backend.most_under_way.load(Ordering::SeqCst), 1, "requests overlapped");
}

/// The first caller is dropped, also in the middle of a request. The others must
/// get their results.
#[tokio::test]
async fn dropped_caller_leaves_others_waiting() {
    let backend = Arc::new(CountedBackend::default());
    let limits = Limits::default().result_poll_interval(NEVER);
    let jobs = JobQueue::with_limits(backend.clone(), limits);
    for polls in 0..8 {
        let (led, other) = (enqueued(&jobs).await, enqueued(&jobs).await);
        let leader = jobs.result::<usize>(led);
        let waiting = jobs.result::<usize>(other);
        tokio::pin!(waiting);
        assert!(
            queue_core::testing::drop_after(polls, async {
                tokio::select! {
                    biased;
                    end = leader => end.map(drop),
                    end = &mut waiting => end.map(drop),
                }
            })
            .await
            .is_none()
        );
        let worker = start(&jobs);
        assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), 4, "after {polls} polls");
        assert_eq!(timeout(PATIENCE, jobs.result::<usize>(led)).await.unwrap().unwrap(), 4);
        worker.shutdown(PATIENCE).await;
    }
}

/// A caller is kept and not polled, as by a `select!` whose other branch takes long.
#[tokio::test]
async fn caller_that_is_not_polled_holds_up_no_other() {
    let limits = Limits::default().result_poll_interval(NEVER);
    let jobs = JobQueue::with_limits(Arc::new(CountedBackend::default()), limits);
    for polls in 1..4 {
        let (kept, other) = (enqueued(&jobs).await, enqueued(&jobs).await);
        let mut wait = Box::pin(jobs.result::<usize>(kept));
        assert!(queue_core::testing::drop_after(polls, &mut wait).await.is_none());
        let worker = start(&jobs);
        assert_eq!(timeout(PATIENCE, jobs.result::<usize>(other)).await.unwrap().unwrap(), 4);
        assert_eq!(timeout(PATIENCE, wait).await.unwrap().unwrap(), 4);
        worker.shutdown(PATIENCE).await;
    }
}

async fn enqueued(jobs: &JobQueue) -> JobId {
    jobs.enqueue(Measure { text: "four".into() }).await.unwrap().id()
}

/// A backend without `Watch` never announces ends, so its callers read the records.
#[tokio::test]
async fn backend_without_watch_is_polled() {
    let backend = Arc::new(CountedBackend { offers_watch: false, ..CountedBackend::default() });
    let limits = Limits::default().result_poll_interval(Duration::from_millis(1));
    let jobs = JobQueue::with_limits(backend.clone(), limits);
    let id = enqueued(&jobs).await;
    let wait = jobs.result::<usize>(id);
    tokio::pin!(wait);
    assert!(timeout(Duration::from_millis(5), &mut wait).await.is_err());
    let _worker = start(&jobs);
    assert_eq!(timeout(PATIENCE, wait).await.unwrap().unwrap(), 4);
    assert_eq!(jobs.wait(JobId::generate()).await.unwrap(), JobEnd::Gone);
    assert_eq!(backend.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn wait_outlasts_an_outage() {
    let backend = Arc::new(CountedBackend { faults: AtomicUsize::new(5), ..CountedBackend::default() });
    let limits = Limits::default().result_poll_interval(Duration::from_millis(1));
    let jobs = JobQueue::with_limits(backend.clone(), limits);
    let _worker = start(&jobs);
    assert_eq!(measured(&jobs, "four").await, 4);
    assert!(backend.requests.load(Ordering::SeqCst) > 5);
}

#[tokio::test]
async fn error_that_no_retry_mends_reaches_the_caller() {
    let fault = ErrorKind::Misconfigured;
    let backend =
        Arc::new(CountedBackend { faults: AtomicUsize::new(1), fault, ..CountedBackend::default() });
    let jobs = JobQueue::new(backend);
    let id = enqueued(&jobs).await;
    let error = jobs.result::<usize>(id).await.unwrap_err();
    assert_eq!(error.kind(), ResultErrorKind::Storage);
    assert!(error.to_string().contains("the storage is away"), "{error}");
    let _worker = start(&jobs);
    assert_eq!(timeout(PATIENCE, jobs.result::<usize>(id)).await.unwrap().unwrap(), 4);
}

/// A request fails because of one job. The callers that wait for the others must get their results.
#[tokio::test]
async fn damaged_job_fails_only_its_own_caller() {
    let backend = Arc::new(CountedBackend::default());
    let jobs = JobQueue::new(backend.clone());
    let mut waits = Vec::new();
    for number in 0..8 {
        let id = enqueued(&jobs).await;
        if number == 5 {
            backend.damaged.set(id).unwrap();
        }
        waits.push((
            id,
            tokio::spawn({
                let jobs = jobs.clone();
                async move { timeout(PATIENCE, jobs.result::<usize>(id)).await.unwrap() }
            }),
        ));
    }
    let _worker = start(&jobs);
    for (id, wait) in waits {
        let result = wait.await.unwrap().map_err(|error| error.kind());
        let is_damaged = backend.damaged.get() == Some(&id);
        assert_eq!(result, if is_damaged { Err(ResultErrorKind::Storage) } else { Ok(4) });
    }
}

/// A program without a timer, and without a worker in its process, waits too.
#[test]
fn wait_needs_no_timer_of_the_runtime() {
    let storage = MemoryBackend::new();
    let jobs =
        JobQueue::with_limits(Arc::new(storage.clone()), Limits::default().result_poll_interval(NEVER));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let kind = Kind::new("job").unwrap();
    let (id, other) = runtime.block_on(async {
        let job = || jobs.enqueue(NewJob::new(kind.clone(), Payload::json("1").unwrap()));
        (job().await.unwrap().id(), job().await.unwrap().id())
    });
    let waiting = std::thread::spawn({
        let jobs = jobs.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(jobs.wait_many(&[other, id, other])).unwrap()
        }
    });
    let elsewhere = JobQueue::new(Arc::new(storage));
    runtime.block_on(async {
        elsewhere.cancel(id).await.unwrap();
        elsewhere.cancel(other).await.unwrap();
    });
    assert_eq!(waiting.join().unwrap(), vec![JobEnd::Cancelled { reason: None }; 3]);
}
