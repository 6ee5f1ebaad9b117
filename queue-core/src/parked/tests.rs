//! Who takes a parked claim, and what its worker is told.

use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::{ClaimId, JobId, Kind, NewJob, Payload, TaskOptions, Timestamp, WorkerId};

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

#[tokio::test]
async fn a_claim_is_taken_for_a_ready_job_of_its_queue_and_kinds() {
    let parking = ParkedClaims::default();
    let mut parked =
        parking.park(vec![request("mail", &["a"]), request("default", &["a", "b"])], ANY, || ROOM);
    assert!(parking.take(&[job("mail", "b"), job("other", "a")]).is_none());
    let later = JobSpec { run_at: Some(Timestamp::UNIX_EPOCH), ..job("mail", "a") };
    assert!(parking.take(std::slice::from_ref(&later)).is_none());

    let taken = parking.take(&[later, job("default", "b")]).unwrap();
    let made = taken.request();
    assert_eq!((made.queue.as_str(), made.limit, made.last_attempts), ("default", 2, 1));
    assert!(parking.take(&[job("default", "b")]).is_none(), "it is made once");
    taken.answer(Some(Ok(ClaimReply::default())));
    let answer = parked.answered().await.unwrap();
    assert_eq!(answer.request.queue.as_str(), "default");
    assert!(parked.withdraw().await.is_none(), "it has been answered");
}

#[test]
fn a_claim_stays_while_more_is_entered_than_it_is_for() {
    let parking = ParkedClaims::default();
    let jobs: Vec<JobSpec> = (0..3).map(|_| job("default", "a")).collect();
    for most in [BatchSize { jobs: 2, bytes: 9 }, BatchSize { jobs: 9, bytes: 2 }] {
        let _parked = parking.park(vec![request("default", &["a"])], most, || ROOM);
        assert!(parking.take(&jobs).is_none(), "{most:?}");
        assert!(parking.take(&jobs[1..]).is_some(), "{most:?}");
    }
}

#[tokio::test]
async fn a_claim_stays_while_there_is_no_room() {
    let parking = ParkedClaims::default();
    let parked = parking.park(vec![request("default", &["a"])], ANY, Room::default);
    assert!(parking.take(&[job("default", "a")]).is_none());
    assert!(parked.withdraw().await.is_none());
    assert_eq!(parking.count(), 0);
}

#[tokio::test]
async fn who_withdraws_while_it_is_made_waits_for_the_answer() {
    let parking = ParkedClaims::default();
    let parked = parking.park(vec![request("default", &["a"])], ANY, || ROOM);
    let taken = parking.take(&[job("default", "a")]).unwrap();
    let withdrawn = tokio::spawn(parked.withdraw());
    taken.answer(Some(Ok(ClaimReply::default())));
    assert!(withdrawn.await.unwrap().is_some());
}

#[tokio::test]
async fn a_claim_that_is_declined_took_nothing_and_one_that_is_forgotten_may_have() {
    let parking = ParkedClaims::default();
    let mut parked = parking.park(vec![request("default", &["a"])], ANY, || ROOM);
    parking.take(&[job("default", "a")]).unwrap().answer(None);
    assert!(parked.answered().await.is_none());
    let mut parked = parking.park(vec![request("default", &["a"])], ANY, || ROOM);
    drop(parking.take(&[job("default", "a")]).unwrap());
    let error = parked.answered().await.unwrap().reply.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
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
    let parking = ParkedClaims::default();
    let mut parked = parking.park(vec![request("default", &["a"])], ANY, || ROOM);
    {
        let mut wait = pin!(parked.answered());
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    parking.take(&[job("default", "a")]).unwrap().answer(Some(Ok(ClaimReply::default())));
    assert!(parked.answered().await.is_some());
}
