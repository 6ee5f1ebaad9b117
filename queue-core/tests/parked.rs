//! The claims that a worker of the runtime parks, and with which batches they are made.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::ParkedClaims;
use queue_core::runtime::WorkerSettings;
use queue_core::{
    Backend, HandlerResult, JobContext, JobId, JobQueue, JobSpec, MemoryBackend, Payload, QueueName,
    RunningWorker, TaskDefinition, Worker,
};
use tokio::time::timeout;

/// Never waited for in full unless the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that takes jobs of the kind `job`, and what it parks.
fn start(settings: WorkerSettings) -> (RunningWorker, ParkedClaims, JobQueue) {
    let backend = MemoryBackend::new();
    let parking = backend.parking().unwrap().clone();
    let mut queue = JobQueue::new(Arc::new(backend));
    let task = TaskDefinition::from_fn("job", |_: JobContext, _: u32| async { HandlerResult::Ok(()) });
    task.register(&mut queue).unwrap();
    (Worker::new().serve(&queue).settings(settings).start().unwrap(), parking, queue)
}

fn job(json: &str) -> JobSpec {
    JobSpec::new(JobId::generate(), "job".parse().unwrap(), Payload::json(json).unwrap())
        .max_retries(3)
        .priority(0)
        .timeout(Duration::from_secs(1))
        .queue(QueueName::default())
}

/// What a backend would take that is about to enter these jobs, once a claim is parked.
async fn is_made_with(parking: &ParkedClaims, jobs: &[JobSpec]) -> bool {
    let parked = async {
        while parking.count() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, parked).await.unwrap();
    parking.take(jobs, None).is_some()
}

#[tokio::test]
async fn an_idle_worker_parks_a_claim_for_small_batches() {
    let settings = WorkerSettings::default().parked_batch(2).parked_batch_bytes(4);
    let (worker, parking, _queue) = start(settings);
    assert!(!is_made_with(&parking, &[job("1"), job("2"), job("3")]).await, "too many");
    assert!(!is_made_with(&parking, &[job("100"), job("20")]).await, "too large");
    assert!(is_made_with(&parking, &[job("10"), job("20")]).await);
    worker.shutdown(PATIENCE).await;
    assert_eq!(parking.count(), 0, "after the shutdown");
}

#[tokio::test]
async fn a_worker_parks_nothing_if_it_is_told_so() {
    let (worker, parking, queue) = start(WorkerSettings::default().parked_batch(0));
    let id = queue_core::Enqueuer::enqueue(&queue, "job", Payload::json("1").unwrap()).await.unwrap();
    let completed = async {
        while !queue.inspect().unwrap().jobs(&[id]).await.unwrap()[0].as_ref().unwrap().state.is_finished() {
            assert_eq!(parking.count(), 0);
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, completed).await.unwrap();
    assert_eq!(parking.count(), 0);
    worker.shutdown(PATIENCE).await;
}
