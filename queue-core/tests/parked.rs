//! The claims that an idle worker parks, and with which batches they are made.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{Backend, InsertReply, InsertRequest, Wrapper};
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Enqueuer as _, HandlerResult, JobContext, JobQueue, MemoryBackend, NewJob, Payload, Result,
    RunningWorker, TaskDefinition, Worker,
};
use tokio::time::timeout;

/// Never waited for in full unless the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Notes whether the last insert had a claim with it.
#[derive(Debug, Clone, Default)]
struct Noted {
    memory: MemoryBackend,
    had_claim: Arc<Mutex<bool>>,
}

#[async_trait]
impl Wrapper for Noted {
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
    noted: Noted,
}

impl Program {
    fn start(settings: WorkerSettings) -> Self {
        let noted = Noted::default();
        let mut queue = JobQueue::new(Arc::new(noted.clone()));
        let task = TaskDefinition::from_fn("job", |_: JobContext, _: u32| async { HandlerResult::Ok(()) });
        task.register(&mut queue).unwrap();
        let worker = Worker::new().serve(&queue).settings(settings).start().unwrap();
        Self { queue, worker, noted }
    }

    /// Enqueues these payloads in a batch, waits for the jobs, and says whether the insert had a
    /// claim with it.
    async fn enqueue(&self, payloads: &[&str]) -> bool {
        let job = |json: &&str| NewJob::new("job".parse().unwrap(), Payload::json(*json).unwrap());
        let jobs = self.queue.submit(payloads.iter().map(job).collect()).await.unwrap();
        let had_claim = *self.noted.had_claim.lock().unwrap();
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
async fn an_idle_worker_has_its_claim_made_with_small_batches() {
    let program = Program::start(WorkerSettings::default().parked_batch(2).parked_batch_bytes(4));
    let mut made = 0;
    let rounds = async {
        // The worker may be on its way to be idle.
        while made < 10 {
            assert!(!program.enqueue(&["1", "2", "3"]).await, "too many");
            assert!(!program.enqueue(&["100", "20"]).await, "too large");
            made += usize::from(program.enqueue(&["10", "20"]).await);
        }
    };
    timeout(PATIENCE, rounds).await.unwrap();
    let Program { queue, worker, noted } = program;
    worker.shutdown(PATIENCE).await;
    queue.enqueue("job", Payload::json("1").unwrap()).await.unwrap();
    assert!(!*noted.had_claim.lock().unwrap(), "after the shutdown");
}

#[tokio::test]
async fn a_worker_parks_nothing_if_its_setting_is_zero() {
    let program = Program::start(WorkerSettings::default().parked_batch(0));
    for _ in 0..20 {
        assert!(!program.enqueue(&["1"]).await);
    }
    program.worker.shutdown(PATIENCE).await;
}
