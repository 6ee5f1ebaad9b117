//! Requests to enqueue.

use std::time::{Duration, SystemTime};

use queue_core::limits::{DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT};
use queue_core::{
    Attributes, Backoff, CancelReply, ErrorKind, JobContext, JobId, JobState, Kind, NewJob, Payload,
    Timestamp,
};

use crate::tasks::{Charge, Measure, Scale};
use crate::{queue, record};

#[tokio::test]
async fn request_overrides_task_and_task_overrides_library() {
    let jobs = queue();
    let attributes = Attributes::json(r#"{"team":"billing"}"#).unwrap();
    let request = jobs
        .enqueue(Charge { order: 1 })
        .priority(7)
        .queue("urgent")
        .timeout(Duration::from_secs(2))
        .attributes(attributes.clone());
    let job = record(&jobs, request.await.unwrap().id()).await.job;
    assert_eq!((job.priority, job.queue.as_str(), job.timeout.as_secs()), (7, "urgent", 2));
    assert_eq!((job.max_retries, job.attributes), (4, Some(attributes)));
    assert_eq!(job.backoff, None, "the policy of the task is stored");

    let text = "four".to_owned();
    let job = record(&jobs, jobs.enqueue(Measure { text }).await.unwrap().id()).await.job;
    assert_eq!((job.priority, job.queue.as_str(), job.timeout), (0, "default", DEFAULT_TIMEOUT));
    assert_eq!((job.max_retries, job.backoff), (DEFAULT_MAX_RETRIES, None));
}

#[tokio::test]
async fn request_sets_retries_and_time() {
    let jobs = queue();
    let backoff = Backoff::from_base(Duration::from_millis(3));
    let at = Timestamp::now().saturating_add(Duration::from_secs(60));
    let request = jobs.enqueue(Charge { order: 1 }).max_retries(0).backoff(backoff).run_at(at);
    let stored = record(&jobs, request.await.unwrap().id()).await;
    assert_eq!((stored.job.max_retries, stored.job.backoff), (0, Some(backoff)));
    assert_eq!((stored.run_at, stored.state), (at, JobState::Scheduled));

    let past = SystemTime::now() - Duration::from_secs(60);
    let job = jobs.enqueue(Charge { order: 2 }).run_at(past).await.unwrap();
    assert_eq!(record(&jobs, job.id()).await.state, JobState::Ready);
    let job = jobs.enqueue(Charge { order: 3 }).run_in(Duration::from_secs(60)).await.unwrap();
    let wait = Timestamp::now().until(record(&jobs, job.id()).await.run_at);
    assert!(wait <= Duration::from_secs(60) && wait > Duration::from_secs(30), "{wait:?}");
}

#[tokio::test]
async fn repeated_id_is_known() {
    let (jobs, id) = (queue(), JobId::generate());
    let enqueue = || jobs.enqueue(Charge { order: 1 }).with_id(id);
    let (first, again) = (enqueue().await.unwrap(), enqueue().await.unwrap());
    assert_eq!((first.id(), again.id()), (id, id));
    assert_eq!((first.is_new(), again.is_new()), (true, false));
}

#[tokio::test]
async fn option_of_a_batch_applies_to_each_job_in_order() {
    let jobs = queue();
    let orders = (1..=3).map(|order| Charge { order });
    let charges = jobs.enqueue_batch(orders).priority(9).await.unwrap();
    for (order, charge) in (1..).zip(&charges) {
        let job = record(&jobs, charge.id()).await.job;
        assert_eq!((job.payload.decode::<Charge>().unwrap().order, job.priority), (order, 9));
    }
    assert!(jobs.enqueue_batch(Vec::<Charge>::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_bad_payload_refuses_its_batch() {
    let jobs = queue();
    let error = jobs.enqueue_batch([Scale(1.0), Scale(f64::NAN)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("task `scale` (number 2 of 2): "), "{error}");
    let stored = jobs.backend().extensions().audit.unwrap().stored().await.unwrap();
    assert!(stored.jobs.is_empty());
}

#[tokio::test]
async fn invalid_queue_is_refused_when_awaited() {
    let error = queue().enqueue(Charge { order: 1 }).queue("two words").priority(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`two words`"), "{error}");
}

#[tokio::test]
async fn new_job_of_any_kind_is_enqueued() {
    let jobs = queue();
    let job = NewJob::new(Kind::new("elsewhere").unwrap(), Payload::json("1").unwrap());
    let job = jobs.enqueue(job.priority(1)).max_retries(2).await.unwrap();
    let stored = record(&jobs, job.id()).await.job;
    assert_eq!((stored.kind.as_str(), stored.priority, stored.max_retries), ("elsewhere", 1, 2));
}

#[tokio::test]
async fn waiting_job_is_cancelled() {
    let jobs = queue();
    let job = jobs.enqueue(Charge { order: 1 }).await.unwrap();
    assert_eq!(jobs.cancel(job.id()).await.unwrap(), CancelReply::Cancelled);
    let again = jobs.cancel(job.id()).await.unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), r#"{"finished":"cancelled"}"#);
    assert_eq!(jobs.cancel(JobId::generate()).await.unwrap(), CancelReply::NotFound);
}

#[tokio::test]
async fn context_without_a_queue_refuses_to_enqueue() {
    let context = JobContext::new(Kind::new("charge").unwrap());
    let error = context.enqueue(Charge { order: 1 }).await.unwrap_err();
    assert!(error.to_string().contains("JobContext::with_jobs"), "{error}");
    let jobs = queue();
    let context = context.with_jobs(jobs.clone());
    let charges = context.enqueue_batch([Charge { order: 1 }]).priority(2).await.unwrap();
    assert_eq!(record(&jobs, charges[0].id()).await.job.priority, 2);
}
