//! The errors of attempts, as an operator reads them.

use std::time::Duration;

use queue_core::backend::AttemptError;
use queue_core::runtime::WorkerSettings;
use queue_core::{CancellationToken, HandlerResult, JobState, Task, TaskOptions, Worker};
use serde::{Deserialize, Serialize};

use crate::tasks::Charge;
use crate::{PATIENCE, queue, wait_for};

/// A task with a short timeout.
#[derive(Serialize, Deserialize)]
struct Brief;

impl Task for Brief {
    const KIND: &'static str = "brief";
    type Output = ();

    fn options() -> TaskOptions {
        TaskOptions::new().timeout(Duration::from_millis(10))
    }
}

const TIMEOUT: Duration = Duration::from_millis(20);

/// Runs a job with this timeout, and returns the error of its first attempt.
async fn first_error(timeout: Duration, handle: impl FnOnce(Worker) -> Worker) -> AttemptError {
    let jobs = queue();
    let request = jobs.enqueue(Charge { order: 7 }).timeout(timeout).max_retries(1);
    let id = request.await.unwrap().id();
    let worker = handle(Worker::new(&jobs)).start().unwrap();
    let record = wait_for(&jobs, id, |record| record.state == JobState::Retrying).await;
    worker.shutdown(Duration::ZERO).await;
    record.errors.into_iter().next().unwrap()
}

fn assert_panicked_here(error: &AttemptError) {
    let text = &error.error;
    assert!(text.starts_with(concat!("panicked at ", file!(), ":")), "{text}");
    assert!(text.ends_with(": no such order"), "{text}");
}

#[tokio::test]
async fn panic_of_a_function_is_recorded_with_its_place() {
    async fn charge(_: Charge) -> HandlerResult {
        panic!("no such order")
    }
    assert_panicked_here(&first_error(PATIENCE, |worker| worker.handle(charge)).await);
}

#[tokio::test]
async fn panic_of_a_blocking_function_is_recorded_with_its_place() {
    fn charge(_: Charge) -> HandlerResult {
        panic!("no such order")
    }
    assert_panicked_here(&first_error(PATIENCE, |worker| worker.handle_blocking(charge)).await);
}

#[tokio::test]
async fn panic_after_a_timeout_is_recorded_with_the_timeout() {
    async fn charge(_: Charge, stop: CancellationToken) -> HandlerResult {
        stop.cancelled().await;
        panic!("no such order")
    }
    let text = first_error(TIMEOUT, |worker| worker.handle(charge)).await.error;
    assert!(text.starts_with(concat!("timed out after 20ms: panicked at ", file!(), ":")), "{text}");
    assert!(text.ends_with(": no such order"), "{text}");
}

#[tokio::test]
async fn timeout_is_recorded_with_its_duration_and_worker() {
    async fn charge(_: Charge, stop: CancellationToken) -> HandlerResult {
        stop.cancelled().await;
        Err("the bank is away")?
    }
    let error = first_error(TIMEOUT, |worker| worker.handle(charge)).await;
    assert_eq!((error.attempt, &*error.error), (1, "timed out after 20ms: the bank is away"));
    assert!(error.duration >= Some(TIMEOUT), "{error:?}");
    assert!(error.worker.is_some(), "{error:?}");
}

#[tokio::test]
async fn timeout_of_the_task_is_recorded() {
    let jobs = queue();
    let id = jobs.enqueue(Brief).await.unwrap().id();
    let worker = Worker::new(&jobs).handle(|_: Brief| std::future::pending::<HandlerResult>());
    let settings = WorkerSettings::default().cancellation_grace(Duration::ZERO);
    let worker = worker.settings(settings).start().unwrap();
    let record = wait_for(&jobs, id, |record| record.state == JobState::Retrying).await;
    worker.shutdown(Duration::ZERO).await;
    assert_eq!(record.errors[0].error, "timed out after 10ms");
}
