//! The batches with which the parked claim of an idle worker is sent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{Backend, InsertReply, InsertRequest, Wrapper};
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Enqueuer, HandlerResult, JobContext, JobQueue, MemoryBackend, NewJob, Payload, Result, RunningWorker,
    TaskDefinition, Worker,
};
use tokio::time::timeout;

/// A timeout that is reached only if the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Records whether the last insert had a claim.
#[derive(Debug, Clone, Default)]
struct RecordingBackend {
    memory: MemoryBackend,
    had_claim: Arc<Mutex<bool>>,
}

#[async_trait]
impl Wrapper for RecordingBackend {
    fn inner(&self) -> &dyn Backend {
        &self.memory
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        *self.had_claim.lock().unwrap() = request.claim.is_some();
        self.memory.insert(request).await
    }
}

struct Program {
    queue: JobQueue,
    worker: RunningWorker,
    recorded: RecordingBackend,
}

impl Program {
    fn start(settings: WorkerSettings) -> Self {
        let recorded = RecordingBackend::default();
        let mut queue = JobQueue::new(Arc::new(recorded.clone()));
        let task = TaskDefinition::from_fn("job", |_: JobContext, _: u32| async { HandlerResult::Ok(()) });
        task.register(&mut queue).unwrap();
        let worker = Worker::new(&queue).settings(settings).start().unwrap();
        Self { queue, worker, recorded }
    }

    /// Enqueues these payloads in a batch, and waits for the jobs. Returns whether the insert had a
    /// claim.
    async fn enqueue(&self, payloads: &[&str]) -> bool {
        let job = |json: &&str| NewJob::new("job".parse().unwrap(), Payload::json(*json).unwrap());
        let jobs = self.queue.submit(payloads.iter().map(job).collect()).await.unwrap();
        let had_claim = *self.recorded.had_claim.lock().unwrap();
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let completed = async {
            let inspect = self.queue.inspect().unwrap();
            while !inspect.jobs(&ids).await.unwrap().iter().flatten().all(|job| job.state.is_finished()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, completed).await.unwrap();
        had_claim
    }
}

#[tokio::test]
async fn small_batch_sends_an_idle_workers_claim() {
    let program = Program::start(WorkerSettings::default().parked_batch(2).parked_batch_bytes(4));
    let mut made = 0;
    let rounds = async {
        // Repeated, because the worker may not have parked its claim yet.
        while made < 10 {
            assert!(!program.enqueue(&["1", "2", "3"]).await, "too many");
            assert!(!program.enqueue(&["100", "20"]).await, "too large");
            made += usize::from(program.enqueue(&["10", "20"]).await);
        }
    };
    timeout(PATIENCE, rounds).await.unwrap();
    let Program { queue, worker, recorded } = program;
    worker.shutdown(PATIENCE).await;
    Enqueuer::enqueue(&queue, "job", Payload::json("1").unwrap()).await.unwrap();
    assert!(!*recorded.had_claim.lock().unwrap(), "after the shutdown");
}

#[tokio::test]
async fn parked_batch_of_zero_parks_no_claim() {
    let program = Program::start(WorkerSettings::default().parked_batch(0));
    for _ in 0..20 {
        assert!(!program.enqueue(&["1"]).await);
    }
    program.worker.shutdown(PATIENCE).await;
}
