//! A dropped enqueue has enqueued all of its jobs or none. A dropped dequeue can be repeated.

use std::collections::BTreeSet;
use std::sync::Arc;

use queue_core::testing::FakeQueue;
use queue_core::{
    CancelReply, Enqueuer, EnqueuerExt, HandlerResult, JobContext, JobQueue, Kind, NewJob, Payload, Queue,
    Result, ResultTask, RetryReply, TaskDefinition, TaskOptions, Timestamp,
};

use crate::at_each_poll;
use crate::yielding::YieldingBackend;

const KIND: &str = "job";

fn payload() -> Payload {
    Payload::json("1").unwrap()
}

fn jobs(many: usize) -> Vec<NewJob> {
    (0..many).map(|_| NewJob::new(Kind::new(KIND).unwrap(), payload())).collect()
}

fn queue(storage: &YieldingBackend) -> JobQueue {
    let mut queue = JobQueue::new(Arc::new(storage.clone()));
    let handler = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
    queue.handle(KIND, Arc::new(handler), TaskOptions::new()).unwrap();
    queue
}

/// Checks that the jobs of `make` are all stored, or none. Both must happen, because otherwise the
/// future was not dropped at enough polls.
async fn all_or_none<T>(storage: &YieldingBackend, many: usize, mut make: impl AsyncFnMut() -> Result<T>) {
    let mut before = storage.jobs().await;
    let mut left = BTreeSet::new();
    let look = async |polls| {
        let after = storage.jobs().await;
        assert!(after - before == 0 || after - before == many, "{} jobs after {polls} polls", after - before);
        left.insert(after - before);
        before = after;
    };
    at_each_poll(&mut make, look).await.unwrap();
    assert_eq!(left, BTreeSet::from([0, many]));
    make().await.unwrap();
}

async fn enqueuer_enqueues_all_or_none(storage: &YieldingBackend, enqueuer: &dyn Enqueuer) {
    let now = Timestamp::now();
    all_or_none(storage, 3, async || enqueuer.submit(jobs(3)).await).await;
    all_or_none(storage, 1, async || enqueuer.enqueue(KIND, payload()).await).await;
    all_or_none(storage, 1, async || enqueuer.enqueue_at(KIND, payload(), now).await).await;
    all_or_none(storage, 2, async || enqueuer.enqueue_batch(KIND, vec![payload(); 2]).await).await;
    all_or_none(storage, 2, async || enqueuer.enqueue_batch_at(KIND, vec![payload(); 2], now).await).await;
    all_or_none(storage, 1, async || enqueuer.enqueue_value(KIND, &1).await).await;
    all_or_none(storage, 1, async || enqueuer.enqueue_value_at(KIND, &1, now).await).await;
    all_or_none(storage, 2, async || enqueuer.enqueue_values(KIND, &[1, 2]).await).await;
    all_or_none(storage, 2, async || enqueuer.enqueue_values_at(KIND, &[1, 2], now).await).await;
}

#[tokio::test]
async fn dropped_enqueue_stores_all_or_none() {
    let storage = YieldingBackend::default();
    enqueuer_enqueues_all_or_none(&storage, &JobQueue::new(Arc::new(storage.clone()))).await;
    let queue = queue(&storage);
    enqueuer_enqueues_all_or_none(&storage, &queue).await;
    enqueuer_enqueues_all_or_none(&storage, &*queue.enqueuer()).await;
}

#[tokio::test]
async fn dropped_request_enqueues_all_or_none() {
    let storage = YieldingBackend::default();
    let queue = queue(&storage);
    all_or_none(&storage, 1, async || queue.enqueue(jobs(1).remove(0)).await).await;
    all_or_none(&storage, 3, async || queue.enqueue_batch(jobs(3)).await).await;
}

#[tokio::test]
async fn dropped_task_enqueue_stores_all_or_none() {
    let (storage, now) = (YieldingBackend::default(), Timestamp::now());
    let task = TaskDefinition::from_fn("task", |_: JobContext, _: u32| async { HandlerResult::Ok(()) });
    let handle = task.register(&mut queue(&storage)).unwrap();
    all_or_none(&storage, 1, async || task.enqueue(&1).await).await;
    all_or_none(&storage, 1, async || task.enqueue_at(&1, now).await).await;
    all_or_none(&storage, 2, async || task.enqueue_batch(&[1, 2]).await).await;
    all_or_none(&storage, 2, async || task.enqueue_batch_at(&[1, 2], now).await).await;
    all_or_none(&storage, 2, async || handle.submit(vec![handle.job(&1)?, handle.job(&2)?]).await).await;
    all_or_none(&storage, 1, async || handle.enqueue(&1).await).await;
    all_or_none(&storage, 1, async || handle.enqueue_at(&1, now).await).await;
    all_or_none(&storage, 2, async || handle.enqueue_batch(&[1, 2]).await).await;
    all_or_none(&storage, 2, async || handle.enqueue_batch_at(&[1, 2], now).await).await;
}

#[tokio::test]
async fn dropped_result_task_enqueue_stores_all_or_none() {
    let (storage, now) = (YieldingBackend::default(), Timestamp::now());
    let task =
        ResultTask::from_fn("task", |_: JobContext, number: u32| async move { HandlerResult::Ok(number) });
    let handle = task.register(&mut queue(&storage)).unwrap();
    all_or_none(&storage, 1, async || task.enqueue(&1).await).await;
    all_or_none(&storage, 1, async || task.enqueue_at(&1, now).await).await;
    all_or_none(&storage, 2, async || task.enqueue_batch(&[1, 2]).await).await;
    all_or_none(&storage, 2, async || task.enqueue_batch_at(&[1, 2], now).await).await;
    all_or_none(&storage, 2, async || handle.submit(vec![handle.job(&1)?, handle.job(&2)?]).await).await;
    all_or_none(&storage, 1, async || handle.enqueue(&1).await).await;
    all_or_none(&storage, 1, async || handle.enqueue_at(&1, now).await).await;
    all_or_none(&storage, 2, async || handle.enqueue_batch(&[1, 2]).await).await;
    all_or_none(&storage, 2, async || handle.enqueue_batch_at(&[1, 2], now).await).await;
}

#[tokio::test]
async fn dropped_dequeue_can_be_repeated() {
    let storage = YieldingBackend::default();
    let queue = queue(&storage);
    let clients: [&dyn Enqueuer; 2] = [&JobQueue::new(Arc::new(storage.clone())), &queue];
    for enqueuer in clients {
        let id = enqueuer.enqueue(KIND, payload()).await.unwrap();
        let last = at_each_poll(async || enqueuer.dequeue(id).await, async |_| {}).await.unwrap();
        assert_eq!(
            last,
            CancelReply::Finished(queue_core::JobState::Cancelled),
            "a dropped dequeue has cancelled the job"
        );
    }
    let job = queue.enqueue(jobs(1).remove(0)).await.unwrap();
    let last = at_each_poll(async || queue.cancel(job.id()).await, async |_| {}).await.unwrap();
    assert_eq!(last, CancelReply::Finished(queue_core::JobState::Cancelled));
}

#[tokio::test]
async fn dropped_retry_is_made_or_not() {
    let queue = queue(&YieldingBackend::default());
    let job = queue.enqueue(jobs(1).remove(0)).await.unwrap();
    queue.cancel(job.id()).await.unwrap();
    let cancel = async |_| {
        // Ready again and cancelled anew, or still cancelled.
        queue.cancel(job.id()).await.unwrap();
    };
    let last = at_each_poll(async || queue.retry(job.id()).await, cancel).await.unwrap();
    assert_eq!(last, RetryReply::Retried);
}

#[tokio::test]
async fn dropped_request_to_a_fake_queue_records_nothing() {
    let mut fake = FakeQueue::new();
    let handler = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
    fake.handle(KIND, Arc::new(handler), TaskOptions::new()).unwrap();
    let dropped = async |_| assert!(fake.enqueued().is_empty());
    let jobs = at_each_poll(async || fake.submit(jobs(2)).await, dropped).await.unwrap();
    assert_eq!(fake.enqueued().len(), 2);
    let dropped = async |_| assert!(fake.dequeued().is_empty());
    at_each_poll(async || fake.dequeue(jobs[0].id).await, dropped).await.unwrap();
    assert_eq!(fake.dequeued(), [jobs[0].id]);
}
