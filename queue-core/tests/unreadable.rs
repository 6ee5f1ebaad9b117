//! Payloads and results that cannot be decoded again are refused.

#![cfg(all(feature = "memory", feature = "runtime"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use queue_core::{
    EnqueuerExt, Error, ErrorKind, HandlerResult, JobContext, JobQueue, JobState, MemoryBackend, ResultTask,
    TaskDefinition, TaskOptions, Worker,
};

/// Its JSON has no field `id`, without which it cannot be decoded.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Order {
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only decoding needs the field")]
    id: u32,
}

fn queue() -> JobQueue {
    JobQueue::new(Arc::new(MemoryBackend::new()))
}

async fn stored(queue: &JobQueue) -> usize {
    queue.backend().extensions().audit.unwrap().stored().await.unwrap().jobs.len()
}

fn task<P>(name: &'static str) -> TaskDefinition<P>
where
    P: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    TaskDefinition::from_fn(name, |_: JobContext, _: P| async { HandlerResult::Ok(()) })
}

#[track_caller]
fn assert_refused(error: &Error, beginning: &str, fault: &str) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    assert!(text.starts_with(beginning) && text.contains(fault), "{text}");
}

#[tokio::test]
async fn enqueue_of_nan_names_the_task() {
    let mut queue = queue();
    let definition = task::<Option<f64>>("scale");
    let scale = definition.register(&mut queue).unwrap();
    let (beginning, fault) = ("failed to enqueue a job of task `scale`: ", "NaN or infinite");
    assert_refused(&scale.enqueue(&Some(f64::NAN)).await.unwrap_err(), beginning, fault);
    assert_refused(&definition.enqueue(&Some(f64::INFINITY)).await.unwrap_err(), beginning, fault);
    assert_refused(&definition.job(&Some(f64::INFINITY)).unwrap_err(), beginning, fault);
    let beginning = "failed to enqueue a job of task `scale` (number 2 of 3): ";
    let error = scale.enqueue_batch(&[None, Some(f64::NAN), Some(1.0)]).await.unwrap_err();
    assert_refused(&error, beginning, fault);
    assert_eq!(stored(&queue).await, 0);
    scale.enqueue_batch(&[None, Some(1.0)]).await.unwrap();
}

#[tokio::test]
async fn enqueue_of_nan_without_a_task_is_refused() {
    let client = JobQueue::new(Arc::new(MemoryBackend::new()));
    let error = client.enqueue_value("scale", &Some(f64::NAN)).await.unwrap_err();
    assert_refused(&error, "failed to write a payload: ", "NaN or infinite");
    let error = client.enqueue_values("scale", &[f32::NAN]).await.unwrap_err();
    assert_refused(&error, "failed to enqueue a job of kind `scale` (number 1 of 1): ", "NaN or infinite");
}

#[tokio::test]
async fn enqueue_of_an_unreadable_payload_is_refused() {
    let mut queue = queue();
    let definition = task::<Order>("ship");
    let ship = definition.register(&mut queue).unwrap();
    let (order, fault) = (Order { id: 1 }, "Order` again: missing field `id`");
    let beginning = "failed to enqueue a job of task `ship`: ";
    assert_refused(&ship.enqueue(&order).await.unwrap_err(), beginning, fault);
    assert_refused(&definition.job(&order).unwrap_err(), beginning, fault);
    let beginning = "failed to enqueue a job of task `ship` (number 1 of 2): ";
    assert_refused(&ship.enqueue_batch(&[order.clone(), order]).await.unwrap_err(), beginning, fault);
    assert_eq!(stored(&queue).await, 0);
}

/// Runs a task until its job has ended. Returns the error of the job.
async fn last_error<R>(name: &'static str, result: impl Fn() -> R + Send + Sync + 'static) -> String
where
    R: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let mut queue = queue();
    let result = Arc::new(result);
    let task = ResultTask::from_fn(name, move |_: JobContext, (): ()| {
        let result = Arc::clone(&result);
        async move { HandlerResult::Ok(result()) }
    });
    let task = task.with_options(TaskOptions::new().max_retries(0)).register(&mut queue).unwrap();
    let id = task.enqueue(&()).await.unwrap();
    let worker = Worker::new(&queue).start().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let record = queue.inspect().unwrap().jobs(&[id]).await.unwrap().remove(0).unwrap();
            if record.state.is_finished() {
                return record;
            }
            tokio::task::yield_now().await;
        }
    });
    let record = ended.await.unwrap();
    worker.shutdown(Duration::from_secs(5)).await;
    assert_eq!(record.state, JobState::Dead);
    assert!(record.result.is_none());
    record.error.unwrap()
}

#[tokio::test]
async fn attempt_with_a_result_of_nan_fails() {
    let error = last_error("mean", || Some(f64::NAN)).await;
    assert!(error.contains("NaN or infinite"), "{error}");
}

#[tokio::test]
async fn attempt_with_an_unreadable_result_fails() {
    let error = last_error("order", || Order { id: 1 }).await;
    assert!(
        error.contains("the result does not decode as") && error.contains("missing field `id`"),
        "{error}"
    );
}
