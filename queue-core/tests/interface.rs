//! The public interface: errors of bad input, and the promises of typed tasks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use queue_core::{
    Enqueuer, EnqueuerExt, ErrorKind, HandlerResult, JobContext, JobId, JobQueue, JobState, Kind, Limits,
    MemoryBackend, NewJob, Payload, Queue, ResultTask, TaskDefinition, TaskOptions, Timestamp, Worker,
};

fn queue() -> JobQueue {
    JobQueue::new(Arc::new(MemoryBackend::new()))
}

fn noop(name: &'static str) -> TaskDefinition<u32> {
    TaskDefinition::from_fn(name, |_: JobContext, _: u32| async { HandlerResult::Ok(()) })
}

#[test]
fn second_handler_of_a_kind_is_a_conflict() {
    let mut queue = queue();
    noop("resize").register(&mut queue).unwrap();
    let error = noop("resize").register(&mut queue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("`resize`"), "{error}");
}

#[test]
fn handler_of_an_invalid_kind_is_refused() {
    let overlong = "x".repeat(129);
    for name in ["", "two words", &overlong] {
        let handler = |_: JobContext, _: Payload| async { HandlerResult::Ok(()) };
        let error = queue().handle(name, Arc::new(handler), TaskOptions::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[tokio::test]
async fn empty_batch_returns_before_any_check() {
    let queue = queue();
    assert!(Enqueuer::enqueue_batch(&queue, "no such kind", Vec::new()).await.unwrap().is_empty());
    assert!(queue.enqueue_batch_at("", Vec::new(), Timestamp::MAX).await.unwrap().is_empty());
    assert!(queue.submit(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn ids_are_in_input_order() {
    let mut queue = queue();
    let task = noop("resize").register(&mut queue).unwrap();
    let ids = task.enqueue_batch(&[10, 20, 30]).await.unwrap();
    let records = queue.inspect().unwrap().jobs(&ids).await.unwrap();
    let payloads: Vec<u32> = records.into_iter().map(|r| r.unwrap().job.payload.decode().unwrap()).collect();
    assert_eq!(payloads, [10, 20, 30]);
}

#[tokio::test]
async fn bad_payload_refuses_its_whole_batch() {
    let client = JobQueue::with_limits(Arc::new(MemoryBackend::new()), Limits::default().payload_bytes(8));
    let fits = Payload::json("\"123456\"").unwrap();
    let over = Payload::json("\"1234567\"").unwrap();
    let error = Enqueuer::enqueue_batch(&client, "resize", vec![fits.clone(), over]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to enqueue a job of kind `resize` (number 2 of 2): the payload is 9 bytes, the limit is 8"
    );
    let unserialisable = [std::collections::BTreeMap::from([((1, 2), 3)])];
    let error = client.enqueue_values("resize", &unserialisable).await.unwrap_err();
    assert!(error.to_string().contains("number 1 of 1"), "{error}");
    assert!(client.backend().extensions().audit.unwrap().stored().await.unwrap().jobs.is_empty());
}

#[tokio::test]
async fn batch_over_the_limit_is_refused() {
    let limits = Limits::default().batch_jobs(2);
    let client = JobQueue::with_limits(Arc::new(MemoryBackend::new()), limits);
    let error = client.enqueue_values("resize", &[1, 2, 3]).await.unwrap_err();
    assert!(error.to_string().contains("3 jobs, the limit is 2"), "{error}");
}

#[tokio::test]
async fn repeated_or_old_id_is_refused() {
    let client = JobQueue::new(Arc::new(MemoryBackend::new()));
    let job = NewJob::new(Kind::new("resize").unwrap(), Payload::json("1").unwrap());
    let id = JobId::generate();
    let error = client.submit(vec![job.clone().id(id), job.clone().id(id)]).await.unwrap_err();
    assert!(error.to_string().contains("is in the batch twice"), "{error}");
    let old = JobId::least_at(Timestamp::now().saturating_sub(Duration::from_secs(25 * 60 * 60)));
    let error = client.submit(vec![job.id(old)]).await.unwrap_err();
    assert!(error.to_string().contains("older than the idempotency window"), "{error}");
}

#[tokio::test]
async fn job_option_overrides_task_option_and_default() {
    let mut queue = queue();
    let options = TaskOptions::new().max_retries(3).priority(7).timeout(Duration::from_secs(9));
    let task = noop("resize").with_options(options).register(&mut queue).unwrap();
    let own = task.job(&1).unwrap().priority(-1);
    let ids = task.submit(vec![own]).await.unwrap();
    let record = queue.inspect().unwrap().jobs(&[ids[0].id]).await.unwrap().remove(0).unwrap();
    assert_eq!((record.job.max_retries, record.job.priority), (3, -1));
    assert_eq!(record.job.timeout, Duration::from_secs(9));
    assert_eq!((record.job.queue.as_str(), record.state), ("default", JobState::Ready));
}

#[tokio::test]
async fn definition_does_not_keep_its_queue_alive() {
    static RESIZE: TaskDefinition<u32> = TaskDefinition::new("resize", |_, _| Box::pin(async { Ok(()) }));
    let error = RESIZE.enqueue(&1).await.unwrap_err();
    assert!(error.to_string().contains("task `resize` was never registered"), "{error}");
    let mut first = queue();
    RESIZE.register(&mut first).unwrap();
    RESIZE.enqueue(&1).await.unwrap();
    drop(first);
    let error = RESIZE.enqueue(&1).await.unwrap_err();
    assert!(error.to_string().contains("a queue that was dropped"), "{error}");
}

#[tokio::test]
async fn worker_without_handler_or_state_does_not_start() {
    let fault = |worker: Worker| worker.start().unwrap_err().to_string();
    assert!(fault(Worker::new(&queue())).contains("it has no handler"));
    let mut needy = queue();
    noop("resize").with_options(TaskOptions::new().needs_state::<String>()).register(&mut needy).unwrap();
    let message = fault(Worker::new(&needy));
    assert!(message.contains("`resize` needs a `alloc::string::String`"), "{message}");
    let worker = Worker::new(&needy).state("here".to_owned()).start().unwrap();
    worker.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn worker_outside_a_runtime_does_not_start() {
    let mut queue = queue();
    noop("resize").register(&mut queue).unwrap();
    let error = Worker::new(&queue).start().unwrap_err();
    assert!(error.to_string().contains("within a tokio runtime"), "{error}");
}

/// Runs the enqueued jobs. Returns the result of one of them.
async fn result_of(queue: &JobQueue, id: JobId) -> Vec<u8> {
    let worker = Worker::new(queue).slots(2).start().unwrap();
    let result = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let record = queue.inspect().unwrap().jobs(&[id]).await.unwrap().remove(0).unwrap();
            if record.state.is_finished() {
                return record.result.unwrap();
            }
            tokio::task::yield_now().await;
        }
    });
    let result = result.await.unwrap();
    worker.shutdown(Duration::from_secs(5)).await;
    result
}

#[tokio::test]
async fn blocking_task_stores_its_result() {
    let mut queue = queue();
    let task = ResultTask::blocking("sum", |_: JobContext, numbers: Vec<u64>| {
        HandlerResult::Ok(numbers.iter().sum::<u64>())
    });
    let task = task.register(&mut queue).unwrap();
    let id = task.enqueue(&vec![1, 2, 3]).await.unwrap();
    assert_eq!(task.decode(&result_of(&queue, id).await).unwrap(), 6);
}
