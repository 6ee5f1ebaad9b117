//! Tests which claim an insert sends, and which answers the worker and the enqueuer receive.

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
    job.queue(queue.parse().unwrap()).resolve(id, None, &TaskOptions::default())
}

/// How the storage treats an insert with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InsertBehavior {
    /// Stores it at once.
    Normal,
    /// Stores it at the fourth poll.
    Slow,
    Declines,
    FailsFor(ErrorKind),
    /// Returns an unknown outcome for the batch, and no reply to the claim.
    FailsOnlyTheBatch,
}

#[derive(Debug)]
struct Storage(MemoryBackend, InsertBehavior);

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
            InsertBehavior::Normal => {}
            InsertBehavior::Slow => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            }
            InsertBehavior::Declines => return Ok(InsertReply::declined()),
            InsertBehavior::FailsFor(kind) => return Err(error(kind)),
            InsertBehavior::FailsOnlyTheBatch => {
                return Ok(InsertReply::new(vec![Err(error(ErrorKind::UnknownOutcome))]));
            }
        }
        self.0.insert(request).await
    }
}

/// Returns a storage with a registered worker whose claim is parked.
async fn parked(behavior: InsertBehavior) -> (Arc<dyn Backend>, ParkedClaims, ParkedClaim) {
    let (memory, parking) = (MemoryBackend::new(), ParkedClaims::default());
    let request = request("default", &["a"]);
    let expiry = std::time::Duration::from_secs(60);
    memory.register(RegisterRequest::new(request.worker, "test", expiry)).await.unwrap();
    let claim = parking.park(vec![request], ANY, || ROOM);
    (Arc::new(Storage(memory, behavior)), parking, claim)
}

#[test]
fn claim_is_taken_for_a_matching_ready_job() {
    let parking = ParkedClaims::default();
    let requests = vec![request("mail", &["a"]), request("default", &["a", "b"])];
    let _claim = parking.park(requests, ANY, || ROOM);
    assert!(parking.take(&[job("mail", "b"), job("other", "a")]).is_none());
    let later = job("mail", "a").run_at(Timestamp::UNIX_EPOCH);
    assert!(parking.take(std::slice::from_ref(&later)).is_none());

    let made = parking.take(&[later, job("default", "b")]).unwrap().request;
    assert_eq!((made.queue.as_str(), made.limit, made.last_attempts), ("default", 2, 1));
    assert!(parking.take(&[job("default", "b")]).is_none(), "an insert takes it once");
}

#[test]
fn large_batch_leaves_the_claim_parked() {
    let parking = ParkedClaims::default();
    let jobs: Vec<JobSpec> = (0..3).map(|_| job("default", "a")).collect();
    for most in [BatchSize { jobs: 2, bytes: 9 }, BatchSize { jobs: 9, bytes: 2 }] {
        let _claim = parking.park(vec![request("default", &["a"])], most, || ROOM);
        assert!(parking.take(&jobs).is_none(), "{most:?}");
        assert!(parking.take(&jobs[1..]).is_some(), "{most:?}");
    }
}

#[tokio::test]
async fn claim_without_room_stays_parked() {
    let parking = ParkedClaims::default();
    let claim = parking.park(vec![request("default", &["a"])], ANY, Room::default);
    assert!(parking.take(&[job("default", "a")]).is_none());
    assert!(claim.withdraw().await.is_none());
    assert_eq!(parking.count(), 0);
}

#[tokio::test]
async fn insert_sends_the_parked_claim() {
    let (backend, parking, claim) = parked(InsertBehavior::Normal).await;
    let batch = vec![job("default", "a"), job("default", "a")];
    let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
    let stored = parking.insert(&backend, batch).await.unwrap().remove(0).unwrap();
    assert!(stored.iter().all(|job| job.is_new()));
    let jobs = claim.withdraw().await.unwrap().reply.unwrap().jobs;
    assert_eq!(jobs.iter().map(|job| job.token.job).collect::<Vec<_>>(), ids);
}

/// The enqueuer does not poll its enqueue again for a while.
#[tokio::test]
async fn worker_does_not_wait_for_the_enqueuer() {
    let (backend, parking, mut claim) = parked(InsertBehavior::Slow).await;
    let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
    assert!(enqueue.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let answer = claim.answered().await.unwrap();
    assert_eq!(answer.reply.unwrap().jobs.len(), 1);
    assert!(enqueue.await.unwrap()[0].as_ref().unwrap()[0].is_new(), "the enqueuer receives its answer too");
}

#[tokio::test]
async fn dropped_enqueuer_leaves_the_worker_its_answer() {
    let (backend, parking, claim) = parked(InsertBehavior::Slow).await;
    {
        let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
        assert!(enqueue.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let withdrawn = claim.withdraw().await.unwrap();
    assert_eq!(withdrawn.reply.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn dropped_worker_leaves_the_enqueuer_its_answer() {
    let (backend, parking, claim) = parked(InsertBehavior::Slow).await;
    let mut enqueue = pin!(parking.insert(&backend, vec![job("default", "a")]));
    assert!(enqueue.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(claim);
    assert!(enqueue.await.unwrap()[0].as_ref().unwrap()[0].is_new());
}

#[tokio::test]
async fn declined_insert_is_repeated_without_the_claim() {
    let (backend, parking, claim) = parked(InsertBehavior::Declines).await;
    let stored = parking.insert(&backend, vec![job("default", "a")]).await.unwrap();
    assert!(stored[0].as_ref().unwrap()[0].is_new());
    assert!(claim.withdraw().await.is_none());
}

#[tokio::test]
async fn claim_shares_the_unknown_outcome_of_its_insert() {
    let uncertain = [InsertBehavior::FailsFor(ErrorKind::UnknownOutcome), InsertBehavior::FailsOnlyTheBatch];
    for behavior in uncertain {
        let (backend, parking, claim) = parked(behavior).await;
        let stored = parking.insert(&backend, vec![job("default", "a")]).await;
        let error = stored.and_then(|mut batches| batches.remove(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
        let answer = claim.withdraw().await.unwrap();
        assert_eq!(answer.reply.unwrap_err().kind(), ErrorKind::UnknownOutcome, "{behavior:?}");
    }
    let (backend, parking, claim) = parked(InsertBehavior::FailsFor(ErrorKind::Unavailable)).await;
    assert_eq!(
        parking.insert(&backend, vec![job("default", "a")]).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(claim.withdraw().await.is_none(), "the claim was not made");
}

#[test]
fn dropped_claim_is_withdrawn() {
    let parking = ParkedClaims::default();
    drop(parking.park(vec![request("default", &["a"])], ANY, || ROOM));
    assert!(parking.take(&[job("default", "a")]).is_none());
    let withdrawal = parking.park(vec![request("default", &["a"])], ANY, || ROOM).withdraw();
    drop(withdrawal);
    assert!(parking.take(&[job("default", "a")]).is_none());
}

#[tokio::test]
async fn dropped_wait_keeps_the_answer() {
    let (backend, parking, mut claim) = parked(InsertBehavior::Slow).await;
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
