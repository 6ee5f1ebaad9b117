//! What the tests of all adapters share.

use queue::backend::{ClaimRequest, ListRequest, RegisterRequest};
use queue::{ClaimId, JobContext, JobQueue, JobState, Kind, NewJob, Payload, QueueName, WorkerId};

pub(crate) fn job(kind: &str) -> NewJob {
    NewJob::new(kind.parse().unwrap(), Payload::json("{}").unwrap())
}

/// The kinds and states of all jobs, by kind.
pub(crate) async fn stored(jobs: &JobQueue) -> Vec<(String, JobState)> {
    let records = jobs.inspect().unwrap().list(ListRequest::new(100)).await.unwrap();
    let mut stored: Vec<(String, JobState)> =
        records.iter().map(|record| (record.job.kind.to_string(), record.state)).collect();
    stored.sort_by(|one, other| one.0.cmp(&other.0));
    stored
}

pub(crate) async fn kinds(jobs: &JobQueue) -> Vec<String> {
    stored(jobs).await.into_iter().map(|(kind, _)| kind).collect()
}

/// Runs a new job of the kind `charge`, as a worker does, with a follow-up of the kind `receipt`.
pub(crate) async fn running(jobs: &JobQueue) -> JobContext {
    let kind: Kind = "charge".parse().unwrap();
    jobs.enqueue(job("charge")).await.unwrap();
    let (worker, claim) = (WorkerId::generate(), ClaimId::generate().unwrap());
    let backend = jobs.backend();
    backend
        .register(RegisterRequest::new(worker, "a test", std::time::Duration::from_secs(60)))
        .await
        .unwrap();
    let request = ClaimRequest::new(worker, claim, QueueName::default(), [kind.clone()], 1);
    let token = backend.claim(request).await.unwrap().jobs[0].token;
    let context = JobContext::new(kind).with_jobs(jobs.clone()).with_lease(token);
    jobs.enqueue(job("receipt")).on_success(&context).unwrap();
    context
}
