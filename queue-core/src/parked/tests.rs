//! Which claim goes with an insert, and what its worker and the enqueuer are answered.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use async_trait::async_trait;

use super::*;
use crate::backend::{Backend, InsertReply, InsertRequest, RegisterRequest, Wrapper};
use crate::{
    ClaimId, Error, ErrorKind, JobId, Kind, MemoryBackend, NewJob, Payload, TaskOptions, Timestamp, WorkerId,
};

const ANY: BatchSize = BatchSize { jobs: 9, bytes: 9 };
const ROOM: Room = Room { limit: 2, last_attempts: 1 };

fn request(queue: &str, kinds: &[&str]) -> ClaimRequest {
    let kinds: Vec<Kind> = kinds.iter().map(|kind| kind.parse().unwrap()).collect();
    ClaimRequest::new(WorkerId::generate(), ClaimId::generate().unwrap(), queue.parse().unwrap(), kinds, 9)
}

fn job(queue: &str, kind: &str) -> JobSpec {
    let id = JobId::generate();
    let job = NewJob::new(kind.parse().unwrap(), Payload::json("1").unwrap());
    job.queue(queue.parse().unwrap()).resolve(id, &TaskOptions::default())
}

/// How the backend under it answers an insert with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// As it should.
    Rightly,
    /// Once it was polled a fourth time.
    Slowly,
    Declines,
    FailsFor(ErrorKind),
    /// The batch by itself, without a word on the claim.
    LeavesTheBatchOpen,
}

#[derive(Debug)]
struct Storage(MemoryBackend, Answers);

#[async_trait]
impl Wrapper for Storage {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        if request.claim.is_none() {
            return self.0.insert(request).await;
        }
        let error = |kind| Error::new(kind, "insert jobs", "as the test wants");
        match self.1 {
            Answers::Rightly => {}
            Answers::Slowly => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            }
            Answers::Declines => return Ok(InsertReply::declined()),
            Answers::FailsFor(kind) => return Err(error(kind)),
            Answers::LeavesTheBatchOpen => {
                return Ok(InsertReply::new(vec![Err(error(ErrorKind::UnknownOutcome))]));
            }
        }
        self.0.insert(request).await
    }
}

/// A storage with a worker whose claim is parked.
async fn parked(answers: Answers) -> (Arc<dyn Backend>, ParkedClaims, ParkedClaim) {
    let (memory, parking) = (MemoryBackend::new(), ParkedClaims::default());
    let request = request("default", &["a"]);
    let expiry = std::time::Duration::from_secs(60);
    memory.register(RegisterRequest::new(request.worker, "test", expiry)).await.unwrap();
    let claim = parking.park(vec![request], ANY, || ROOM);
    (Arc::new(Storage(memory, answers)), parking, claim)
}

#[test]
fn a_claim_is_taken_for_a_ready_job_of_its_queue_and_kinds() {
    let parking = ParkedClaims::default();
    let requests = vec![request("mail", &["a"]), request("default", &["a", "b"])];
    let _claim = parking.park(requests, ANY, || ROOM);
    assert!(parking.take(&[job("mail", "b"), job("other", "a")]).is_none());
    let later = job("mail", "a").run_at(Timestamp::UNIX_EPOCH);
    assert!(parking.take(std::slice::from_ref(&later)).is_none());

    let made = parking.take(&[later, job("default", "b")]).unwrap().request;
    assert_eq!((made.queue.as_str(), made.limit, made.last_attempts), ("default", 2, 1));
    assert!(parking.take(&[job("default", "b")]).is_none(), "it is made once");
}

#[test]
fn a_claim_stays_while_more_is_inserted_than_it_is_for() {
    let parking = ParkedClaims::default();
    let jobs: Vec<JobSpec> = (0..3).map(|_| job("default", "a")).collect();
    for most in [BatchSize { jobs: 2, bytes: 9 }, BatchSize { jobs: 9, bytes: 2 }] {
        let _claim = parking.park(vec![request("default", &["a"])], most, || ROOM);
        assert!(parking.take(&jobs).is_none(), "{most:?}");
        assert!(parking.take(&jobs[1..]).is_some(), "{most:?}");
    }
}

#[tokio::test]
async fn a_claim_stays_while_there_is_no_room() {
    let parking = ParkedClaims::default();
    let claim = parking.park(vec![request("default", &["a"])], ANY, Room::default);
    assert!(parking.take(&[job("default", "a")]).is_none());
    assert!(claim.withdraw().await.is_none());
    assert_eq!(parking.count(), 0);
}

#[tokio::test]
async fn a_claim_is_made_with_the_insert() {
    let (backend, parking, claim) = parked(Answers::Rightly).await;
    let batch = vec![job("default", "a"), job("default", "a")];
    let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
    let stored = parking.insert(&backend, batch).await.unwrap().remove(0).unwrap();
    assert!(stored.iter().all(|job| job.is_new()));
    let jobs = claim.withdraw().await.unwrap().reply.unwrap().jobs;
    assert_eq!(jobs.iter().map(|job| job.token.job).collect::<Vec<_>>(), ids);
}

/// An enqueuer that does something else before it looks at its enqueue again.
#[tokio::test]
async fn a_worker_waits_for_no_enqueuer() {
    let (backend, parking, mut claim) = parked(Answers::Slowly).await;
    let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
    assert!(enqueue.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let answer = claim.answered().await.unwrap();
    assert_eq!(answer.reply.unwrap().jobs.len(), 1);
    assert!(enqueue.await.unwrap()[0].as_ref().unwrap()[0].is_new(), "it is answered, too");
}

#[tokio::test]
async fn a_worker_gets_its_answer_though_the_enqueuer_was_dropped() {
    let (backend, parking, claim) = parked(Answers::Slowly).await;
    {
        let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
        assert!(enqueue.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let withdrawn = claim.withdraw().await.unwrap();
    assert_eq!(withdrawn.reply.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn an_enqueuer_gets_its_answer_though_the_worker_was_dropped() {
    let (backend, parking, claim) = parked(Answers::Slowly).await;
    let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
    assert!(enqueue.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(claim);
    assert!(enqueue.await.unwrap()[0].as_ref().unwrap()[0].is_new());
}

#[tokio::test]
async fn a_declined_insert_is_made_without_the_claim() {
    let (backend, parking, claim) = parked(Answers::Declines).await;
    let stored = parking.insert(&backend, vec![job("default", "a")]).await.unwrap();
    assert!(stored[0].as_ref().unwrap()[0].is_new());
    assert!(claim.withdraw().await.is_none());
}

#[tokio::test]
async fn a_claim_is_as_uncertain_as_its_insert() {
    let uncertain = [Answers::FailsFor(ErrorKind::UnknownOutcome), Answers::LeavesTheBatchOpen];
    for answers in uncertain {
        let (backend, parking, claim) = parked(answers).await;
        let stored = parking.insert(&backend, vec![job("default", "a")]).await;
        let error = stored.and_then(|mut batches| batches.remove(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
        let answer = claim.withdraw().await.unwrap();
        assert_eq!(answer.reply.unwrap_err().kind(), ErrorKind::UnknownOutcome, "{answers:?}");
    }
    let (backend, parking, claim) = parked(Answers::FailsFor(ErrorKind::Unavailable)).await;
    assert_eq!(
        parking.insert(&backend, vec![job("default", "a")]).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(claim.withdraw().await.is_none(), "nothing was done");
}

#[test]
fn a_claim_that_is_dropped_is_withdrawn() {
    let parking = ParkedClaims::default();
    drop(parking.park(vec![request("default", &["a"])], ANY, || ROOM));
    assert!(parking.take(&[job("default", "a")]).is_none());
    let withdrawal = parking.park(vec![request("default", &["a"])], ANY, || ROOM).withdraw();
    drop(withdrawal);
    assert!(parking.take(&[job("default", "a")]).is_none());
}

#[tokio::test]
async fn an_answer_is_not_lost_with_the_wait_for_it() {
    let (backend, parking, mut claim) = parked(Answers::Slowly).await;
    let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
    let mut context = Context::from_waker(Waker::noop());
    assert!(enqueue.as_mut().poll(&mut context).is_pending());
    {
        let mut wait = pin!(claim.answered());
        assert!(wait.as_mut().poll(&mut context).is_pending());
    }
    assert!(enqueue.await.is_ok());
    assert!(claim.answered().await.is_some());
}
