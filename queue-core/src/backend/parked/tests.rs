//! Who takes a parked claim, and what its worker is told.

use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::{ClaimId, JobId, JobSpec, Kind, NewJob, Payload, TaskOptions, WorkerId};

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
    let parking = ParkedClaims::new();
    let mut parked = parking.park(
        vec![request("mail", &["a"]), request("default", &["a", "b"])],
        BatchSize::UNLIMITED,
        || ROOM,
    );
    assert!(parking.take(&[job("mail", "b"), job("other", "a")], None).is_none());
    let later = JobSpec { run_at: Some(Timestamp::UNIX_EPOCH), ..job("mail", "a") };
    assert!(parking.take([&later], None).is_none());

    let taken = parking.take(&[later, job("default", "b")], None).unwrap();
    let made = taken.request();
    assert_eq!((made.queue.as_str(), made.limit, made.last_attempts), ("default", 2, 1));
    assert!(parking.take(&[job("default", "b")], None).is_none(), "it is made once");
    taken.answer(Ok(ClaimReply::default()));
    let answer = parked.answered().await.unwrap();
    assert_eq!(answer.request.queue.as_str(), "default");
    assert!(parked.withdraw().await.is_none(), "it has been answered");
}

#[tokio::test]
async fn a_job_with_a_time_counts_once_that_has_come() {
    let parking = ParkedClaims::new();
    let _parked = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM);
    let now = Timestamp::from_micros(5).unwrap();
    let at = |micros| JobSpec { run_at: Timestamp::from_micros(micros).ok(), ..job("default", "a") };
    assert!(parking.take([&at(6)], Some(now)).is_none());
    assert_eq!(parking.take([&at(5)], Some(now)).unwrap().request().now, Some(now));
}

#[test]
fn a_claim_stays_while_more_is_entered_than_it_is_for() {
    let parking = ParkedClaims::new();
    let jobs: Vec<JobSpec> = (0..3).map(|_| job("default", "a")).collect();
    for most in [BatchSize { jobs: 2, bytes: 9 }, BatchSize { jobs: 9, bytes: 2 }] {
        let _parked = parking.park(vec![request("default", &["a"])], most, || ROOM);
        assert!(parking.take(&jobs, None).is_none(), "{most:?}");
        let taken = parking.take(&jobs[1..], None).unwrap();
        let _passed_on = taken.pass_on(&parking);
        assert!(parking.take(&jobs, None).is_none(), "{most:?}, passed on");
        assert!(parking.take(&jobs[1..], None).is_some(), "{most:?}, passed on");
    }
}

#[tokio::test]
async fn a_claim_stays_while_there_is_no_room() {
    let parking = ParkedClaims::new();
    let parked = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, Room::default);
    assert!(parking.take(&[job("default", "a")], None).is_none());
    assert!(parked.withdraw().await.is_none());
    assert_eq!(parking.count(), 0);
}

#[tokio::test]
async fn who_withdraws_while_it_is_made_waits_for_the_answer() {
    let parking = ParkedClaims::new();
    let parked = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM);
    let taken = parking.take(&[job("default", "a")], None).unwrap();
    let withdrawn = tokio::spawn(parked.withdraw());
    taken.answer(Ok(ClaimReply::default()));
    assert!(withdrawn.await.unwrap().is_some());
}

#[tokio::test]
async fn a_claim_that_is_declined_took_nothing_and_one_that_is_forgotten_may_have() {
    let parking = ParkedClaims::new();
    let mut parked = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM);
    parking.take(&[job("default", "a")], None).unwrap().decline();
    assert!(parked.answered().await.is_none());
    let mut parked = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM);
    drop(parking.take(&[job("default", "a")], None).unwrap());
    let error = parked.answered().await.unwrap().reply.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
}

#[test]
fn a_claim_that_is_dropped_is_withdrawn() {
    let parking = ParkedClaims::new();
    drop(parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM));
    assert!(parking.take(&[job("default", "a")], None).is_none());
    let withdrawal = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM).withdraw();
    drop(withdrawal);
    assert!(parking.take(&[job("default", "a")], None).is_none());
}

#[tokio::test]
async fn an_answer_is_not_lost_with_the_wait_for_it() {
    let parking = ParkedClaims::new();
    let mut parked = parking.park(vec![request("default", &["a"])], BatchSize::UNLIMITED, || ROOM);
    {
        let mut wait = pin!(parked.answered());
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    parking.take(&[job("default", "a")], None).unwrap().answer(Ok(ClaimReply::default()));
    assert!(parked.answered().await.is_some());
}
