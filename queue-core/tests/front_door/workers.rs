//! Building of workers, and their end.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::testing::drop_after;
use queue_core::{
    EnqueuerExt, ErrorKind, HandlerResult, JobState, Queue, QueueName, State, Task, TaskDefinition, Worker,
};
use serde::{Deserialize, Serialize};

use crate::tasks::{Charge, Measure};
use crate::{PATIENCE, queue, record, wait_for};

async fn charge(_: Charge) -> HandlerResult {
    Ok(())
}

fn fault(worker: Worker) -> (ErrorKind, String) {
    let error = worker.start().unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn two_handlers_of_a_kind_are_a_conflict() {
    let mut jobs = queue();
    let (kind, text) = fault(Worker::new(&jobs).handle(charge).handle(charge));
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(text.contains("`charge`: the kind has a handler already"), "{text}");
    (&mut jobs as &mut dyn Queue).register(charge).unwrap();
    assert_eq!(fault(Worker::new(&jobs).handle(charge)).0, ErrorKind::Conflict);
}

#[tokio::test]
async fn missing_state_is_named_with_what_is_there() {
    async fn measure(_: Measure, _: State<Vec<u8>>) -> HandlerResult<usize> {
        Ok(0)
    }
    let jobs = queue();
    let (kind, text) = fault(Worker::new(&jobs).state(7_i32).handle(measure));
    assert_eq!(kind, ErrorKind::Invalid);
    let wanted = "`measure` needs a `alloc::vec::Vec<u8>`; `Worker::state` was given `i32`";
    assert!(text.contains(wanted), "{text}");
    assert!(fault(Worker::new(&jobs).handle(measure)).1.contains("was given nothing"));
}

#[derive(Serialize, Deserialize)]
struct Misnamed;

impl Task for Misnamed {
    const KIND: &'static str = "two words";
    type Output = ();
}

#[tokio::test]
async fn first_fault_of_the_building_is_returned() {
    async fn misnamed(_: Misnamed) -> HandlerResult {
        Ok(())
    }
    let (kind, text) = fault(Worker::new(&queue()).handle(misnamed).slots(0));
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(text.contains("`two words`"), "{text}");
}

#[tokio::test]
async fn worker_serves_the_queues_that_it_is_given() {
    let jobs = queue();
    let here = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    let there = jobs.enqueue(Charge { order: 2 }).queue("there").await.unwrap();
    let names = [QueueName::new("there").unwrap()];
    let worker = Worker::new(&jobs).handle(charge).queues(names).start().unwrap();
    wait_for(&jobs, there.id(), |job| job.state == JobState::Completed).await;
    assert_eq!(record(&jobs, here.id()).await.state, JobState::Ready);
    worker.shutdown(PATIENCE).await;

    let worker = Worker::new(&jobs).handle(charge).start().unwrap();
    wait_for(&jobs, here.id(), |job| job.state == JobState::Completed).await;
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn one_worker_serves_several_backends_and_both_sorts_of_handlers() {
    let (mut first, second) = (queue(), queue());
    let greet = TaskDefinition::from_fn("greet", |_, _: String| async { HandlerResult::Ok(()) });
    let greeting = greet.register(&mut first).unwrap().enqueue(&"ada".to_owned()).await.unwrap();
    let near = first.enqueue(Charge { order: 1 }).await.unwrap();
    let far = second.enqueue(Charge { order: 2 }).await.unwrap();
    let worker = Worker::new(&first).serve(&second).handle(charge).start().unwrap();
    for (jobs, id) in [(&first, greeting), (&first, near.id()), (&second, far.id())] {
        wait_for(jobs, id, |job| job.state == JobState::Completed).await;
    }
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn run_until_the_signal_completes_what_runs() {
    let jobs = queue();
    let job = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    let completed = async {
        wait_for(&jobs, job.id(), |job| job.state == JobState::Completed).await;
    };
    let report = Worker::new(&jobs).handle(charge).run_until(completed, PATIENCE).await.unwrap();
    assert_eq!(report.abandoned, 0);
}

#[tokio::test]
async fn dropped_run_until_stops_the_worker() {
    let (jobs, held) = (queue(), Arc::new(()));
    for polls in 0..2 {
        let worker = Worker::new(&jobs).handle(charge).state(Arc::clone(&held));
        assert!(drop_after(polls, worker.run_until(pending(), PATIENCE)).await.is_none());
        let stopped = async {
            while Arc::strong_count(&held) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, stopped).await.unwrap();
    }
}

/// Settings with a short delay between the attempts of a payload that does not decode.
fn quick() -> WorkerSettings {
    WorkerSettings::default().decode_retry_delay(Duration::from_millis(1))
}

#[tokio::test]
async fn payload_that_does_not_decode_is_retried_once() {
    let jobs = queue();
    let id = jobs.enqueue_value("charge", "not an order").await.unwrap();
    let worker = Worker::new(&jobs).handle(charge).settings(quick());
    let names = [QueueName::default()];
    let worker = worker.queues(names).start().unwrap();
    let dead = wait_for(&jobs, id, |job| job.state == JobState::Dead).await;
    assert_eq!(dead.attempt, 2);
    let error = dead.error.unwrap();
    assert!(error.starts_with("the payload does not decode as `front_door::tasks::Charge`"), "{error}");
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn decode_retries_is_a_setting() {
    let jobs = queue();
    let id = jobs.enqueue_value("charge", "not an order").await.unwrap();
    let worker = Worker::new(&jobs).handle(charge).settings(quick().decode_retries(0));
    let worker = worker.queues([QueueName::default()]).start().unwrap();
    assert_eq!(wait_for(&jobs, id, |job| job.state == JobState::Dead).await.attempt, 1);
    worker.shutdown(PATIENCE).await;
}
