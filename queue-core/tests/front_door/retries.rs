//! The delays of retries: of the error, of the job, and of the worker's policy.

use std::time::Duration;

use queue_core::{
    Backoff, Enqueue, HandlerResult, IntoJob, JobContext, JobError, JobQueue, JobRecord, JobState,
    RetryPolicy, Task, TaskDefinition, TaskOptions, Worker,
};
use serde::{Deserialize, Serialize};

use crate::tasks::Charge;
use crate::{queue, wait_for};

const HOUR: Duration = Duration::from_secs(3600);

/// The task [`Charge`] as a later version of the program declares it, with another policy.
#[derive(Serialize, Deserialize)]
struct LaterCharge {
    order: i64,
}

impl Task for LaterCharge {
    const KIND: &'static str = Charge::KIND;
    type Output = ();

    fn options() -> TaskOptions {
        Charge::options().retry(RetryPolicy::fixed(HOUR * 7))
    }
}

async fn fail(_: LaterCharge) -> HandlerResult {
    Err("the bank is away")?
}

/// Runs the job until it waits after this attempt, and returns the delay of the next.
async fn delay_after<J: IntoJob + 'static>(
    jobs: &JobQueue,
    worker: Worker,
    request: Enqueue<J>,
    attempt: u32,
) -> Duration {
    let id = request.await.unwrap().id();
    let worker = worker.start().unwrap();
    let waits = |job: &JobRecord| job.attempt == attempt && job.state == JobState::Retrying;
    let record = wait_for(jobs, id, waits).await;
    worker.shutdown(Duration::ZERO).await;
    record.errors.last().unwrap().at.until(record.run_at)
}

#[tokio::test]
async fn changed_policy_applies_to_stored_jobs() {
    let jobs = queue();
    let worker = Worker::new(&jobs).handle(fail);
    assert_eq!(delay_after(&jobs, worker, jobs.enqueue(Charge { order: 1 }), 1).await, HOUR * 7);
}

#[tokio::test]
async fn backoff_of_the_job_replaces_the_policy() {
    let jobs = queue();
    let request = jobs.enqueue(Charge { order: 1 }).backoff(Backoff::fixed(HOUR * 3));
    let worker = Worker::new(&jobs).handle(fail);
    assert_eq!(delay_after(&jobs, worker, request, 1).await, HOUR * 3);
}

#[tokio::test]
async fn retry_after_replaces_backoff_and_policy() {
    async fn fail(_: LaterCharge) -> HandlerResult {
        Err(JobError::retry_after(HOUR * 5, "the bank opens at nine"))
    }
    let jobs = queue();
    let request = jobs.enqueue(Charge { order: 1 }).backoff(Backoff::fixed(HOUR * 3));
    assert_eq!(delay_after(&jobs, Worker::new(&jobs).handle(fail), request, 1).await, HOUR * 5);
}

fn payment(policy: RetryPolicy) -> TaskDefinition<Charge> {
    async fn pay(_: JobContext, _: Charge) -> HandlerResult {
        Err("the bank is away")?
    }
    TaskDefinition::from_fn("pay", pay).with_options(TaskOptions::new().retry(policy))
}

/// The policy is that of the worker's registration, also for a job that a definition created.
#[tokio::test]
async fn policy_of_a_definition_is_not_stored() {
    let mut jobs = queue();
    payment(RetryPolicy::fixed(HOUR * 2)).register(&mut jobs).unwrap();
    let job = payment(RetryPolicy::fixed(HOUR)).job(&Charge { order: 1 }).unwrap();
    assert_eq!(delay_after(&jobs, Worker::new(&jobs), jobs.enqueue(job), 1).await, HOUR * 2);
}

#[tokio::test]
async fn listed_or_computed_delay_is_that_of_the_attempt() {
    let policies = [
        (RetryPolicy::list([Duration::ZERO, HOUR]), 2),
        (RetryPolicy::list([Duration::ZERO, Duration::ZERO, HOUR]), 3),
        (RetryPolicy::custom(|attempt, _| if attempt < 3 { Duration::ZERO } else { HOUR }), 3),
    ];
    for (policy, attempt) in policies {
        let mut jobs = queue();
        let task = payment(policy);
        task.register(&mut jobs).unwrap();
        let job = task.job(&Charge { order: 1 }).unwrap();
        assert_eq!(delay_after(&jobs, Worker::new(&jobs), jobs.enqueue(job), attempt).await, HOUR);
    }
}
