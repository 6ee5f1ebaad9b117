//! Whatever enqueues, dropped half-way, has enqueued all of its jobs or none; whatever cancels can be asked again.

use std::collections::BTreeSet;
use std::sync::Arc;

use queue_core::testing::FakeQueue;
use queue_core::{
    Client, Dequeued, Enqueuer, EnqueuerExt, HandlerResult, JobContext, JobQueue, Kind, NewJob, Payload,
    Queue, Result, ResultTask, TaskDefinition, TaskOptions, Timestamp,
};

use crate::at_each_poll;
use crate::hesitant::Hesitant;

const KIND: &str = "job";

fn payload() -> Payload {
    Payload::json("1").unwrap()
}

fn jobs(many: usize) -> Vec<NewJob> {
    (0..many).map(|_| NewJob::new(Kind::new(KIND).unwrap(), payload())).collect()
}

fn queue(storage: &Hesitant) -> JobQueue {
    let mut queue = JobQueue::new(Arc::new(storage.clone()));
    let handler = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
    queue.handle(KIND, Arc::new(handler), TaskOptions::new()).unwrap();
    queue
}

/// What `make` enqueues is stored whole or not at all; both are seen, or it was dropped too seldom.
async fn all_or_none<T>(storage: &Hesitant, many: usize, mut make: impl AsyncFnMut() -> Result<T>) {
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

async fn enqueuer_enqueues_all_or_none(storage: &Hesitant, enqueuer: &dyn Enqueuer) {
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
async fn a_dropped_enqueue_of_any_enqueuer_has_enqueued_all_or_none() {
    let storage = Hesitant::default();
    enqueuer_enqueues_all_or_none(&storage, &Client::new(Arc::new(storage.clone()))).await;
    let queue = queue(&storage);
    enqueuer_enqueues_all_or_none(&storage, &queue).await;
    enqueuer_enqueues_all_or_none(&storage, &*queue.enqueuer()).await;
}

#[tokio::test]
async fn a_dropped_enqueue_of_a_task_has_enqueued_all_or_none() {
    let (storage, now) = (Hesitant::default(), Timestamp::now());
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
async fn a_dropped_enqueue_of_a_task_with_a_result_has_enqueued_all_or_none() {
    let (storage, now) = (Hesitant::default(), Timestamp::now());
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
async fn a_dropped_dequeue_can_be_repeated() {
    let storage = Hesitant::default();
    let queue = queue(&storage);
    let clients: [&dyn Enqueuer; 2] = [&Client::new(Arc::new(storage.clone())), &queue];
    for enqueuer in clients {
        let id = enqueuer.enqueue(KIND, payload()).await.unwrap();
        let last = at_each_poll(async || enqueuer.dequeue(id).await, async |_| {}).await.unwrap();
        assert_eq!(last, Dequeued::Finished(queue_core::State::Cancelled), "one that was dropped did it");
    }
}

#[tokio::test]
async fn a_fake_queue_has_noted_what_was_asked_of_it_or_was_not_asked() {
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
