//! Possible and impossible histories.

mod processes;
mod test_history;

use std::time::Duration;

use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, InsertRequest, LeasesRequest, LiveRow,
    MaintainReply, MaintainRequest, OutcomeRow, RetryReply, RetryRequest, SettleRequest, Settled, Verdict,
};
use queue_core::{ClaimId, ErrorKind, Insertion, JobState, QueueName, Timestamp, WorkerId};

use self::test_history::*;
use super::*;

const A: ClaimId = ClaimId::from_bytes([0xa; 16]);
const B: ClaimId = ClaimId::from_bytes([0xb; 16]);
const JOB: JobId = JobId::from_bytes([1; 16]);
const WORKER: WorkerId = WorkerId::from_bytes([2; 16]);

#[test]
fn whole_life_of_a_job_is_possible() {
    test_history()
        .cancel(CancelReply::NotFound)
        .insert(Insertion::New)
        .claim(A, 1)
        .cancel(CancelReply::Running)
        .settle(A, Verdict::Release, Settled::Done)
        .claim(B, 1)
        .settle(A, completion(b"1"), Settled::LeaseLost)
        .settle(B, completion(b"2"), Settled::Done)
        .settle(B, completion(b"2"), Settled::Done)
        .cancel(CancelReply::Finished(JobState::Completed))
        .insert(Insertion::Known)
        .ended(JobState::Completed, 1, Some(B), Some(b"2"))
        .expect_possible();
}

#[test]
fn missing_acknowledged_job_is_impossible() {
    test_history().insert(Insertion::New).expect_impossible("can only have been Waiting { attempt: 0,");
    test_history().insert(Insertion::New).claim(A, 1).expect_impossible("can only have been Running");
}

#[test]
fn job_that_was_never_enqueued_is_impossible() {
    test_history().live(JobState::Ready, 0, None).expect_impossible("can only have been Absent");
    test_history()
        .claim(A, 1)
        .live(JobState::Running, 1, Some(A))
        .expect_impossible("can only have been Absent");
}

#[test]
fn insert_without_reply_is_executed_at_most_once() {
    for kind in [None, Some(ErrorKind::UnknownOutcome)] {
        let test_history = || match kind {
            Some(kind) => test_history().insert_fails(kind),
            None => test_history().drop_midway(&InsertRequest::new(vec![vec![spec()]])),
        };
        test_history().expect_possible();
        test_history().live(JobState::Ready, 0, None).expect_possible();
        test_history().insert(Insertion::New).live(JobState::Ready, 0, None).expect_possible();
        test_history().insert(Insertion::Known).live(JobState::Ready, 0, None).expect_possible();
        // The insert may be executed late, but stores one job.
        test_history().cancel(CancelReply::NotFound).live(JobState::Ready, 0, None).expect_possible();
        test_history().insert(Insertion::New).expect_impossible("Read(None)");
    }
}

#[test]
fn failed_request_that_took_effect_is_impossible() {
    for kind in [ErrorKind::Busy, ErrorKind::Unavailable, ErrorKind::Invalid, ErrorKind::Conflict] {
        test_history().insert_fails(kind).expect_possible();
        test_history()
            .insert_fails(kind)
            .live(JobState::Ready, 0, None)
            .expect_impossible("can only have been Absent");
        let completed = settle_request(A, completion(b"1"));
        test_history()
            .insert(Insertion::New)
            .claim(A, 1)
            .does(&completed, &error(kind))
            .ended(JobState::Completed, 1, Some(A), Some(b"1"))
            .expect_impossible("can only have been Running");
    }
}

#[test]
fn two_live_leases_are_impossible() {
    let two = || test_history().insert(Insertion::New).claim(A, 1).claim(B, 2);
    two().live(JobState::Running, 2, Some(B)).expect_impossible("Claimed { claim: 0b0b");
    two().settle(A, Verdict::Release, Settled::Done).expect_impossible("can only have been Running");
    // Possible if the first lease was rescued in between.
    test_history()
        .insert(Insertion::New)
        .claim(A, 1)
        .rescue(1)
        .claim(B, 2)
        .live(JobState::Running, 2, Some(B))
        .expect_possible();
    test_history()
        .insert(Insertion::New)
        .rescue(1)
        .claim(A, 1)
        .claim(B, 2)
        .expect_impossible("can only have been Running");
    test_history()
        .insert(Insertion::New)
        .claim(A, 1)
        .rescue(0)
        .claim(B, 2)
        .expect_impossible("can only have been Running");
}

#[test]
fn concurrent_operations_are_possible_in_either_order() {
    let release = settle_request(A, Verdict::Release);
    let test_history = test_history().insert(Insertion::New).claim(A, 1);
    let number = test_history.ask(&release);
    let test_history = test_history.claim(B, 1);
    test_history.answer::<SettleRequest>(number, &Ok(vec![Ok(Settled::Done)]));
    test_history.live(JobState::Running, 1, Some(B)).expect_possible();
}

#[test]
fn change_of_a_finished_job_is_impossible() {
    let completed =
        || test_history().insert(Insertion::New).claim(A, 1).settle(A, completion(b"1"), Settled::Done);
    completed().live(JobState::Ready, 1, None).expect_impossible("can only have been Ended");
    completed().claim(B, 2).expect_impossible("can only have been Ended");
    completed().cancel(CancelReply::Cancelled).expect_impossible("can only have been Ended");
    completed().rescue(5).claim(B, 2).expect_impossible("can only have been Ended");
    test_history()
        .insert(Insertion::New)
        .cancel(CancelReply::Cancelled)
        .claim(A, 1)
        .expect_impossible("Cancelled");
}

#[test]
fn second_completion_of_a_job_is_impossible() {
    test_history()
        .insert(Insertion::New)
        .claim(A, 1)
        .rescue(1)
        .claim(B, 2)
        .settle(B, completion(b"2"), Settled::Done)
        .settle(A, completion(b"1"), Settled::Done)
        .ended(JobState::Completed, 2, Some(B), Some(b"2"))
        .expect_impossible("answer: Done");
    let completed =
        || test_history().insert(Insertion::New).claim(A, 1).settle(A, completion(b"1"), Settled::Done);
    completed().ended(JobState::Completed, 1, Some(A), Some(b"2")).expect_impossible("did not send");
    completed()
        .ended(JobState::Completed, 1, Some(B), Some(b"1"))
        .expect_impossible("can only have been Ended");
    completed()
        .settle(A, Verdict::Bury { error: String::new() }, Settled::Done)
        .expect_impossible("answer: Done");
}

#[test]
fn settle_of_unknown_outcome_can_be_repeated() {
    let unknown = || {
        let lost = settle_request(A, completion(b"1"));
        test_history().insert(Insertion::New).claim(A, 1).does(&lost, &error(ErrorKind::UnknownOutcome))
    };
    unknown().live(JobState::Running, 1, Some(A)).expect_possible();
    unknown().ended(JobState::Completed, 1, Some(A), Some(b"1")).expect_possible();
    let again = || unknown().settle(A, completion(b"1"), Settled::Done);
    again().ended(JobState::Completed, 1, Some(A), Some(b"1")).expect_possible();
    again().live(JobState::Running, 1, Some(A)).expect_impossible("can only have been Ended");
    // Another claim is possible only after a rescue.
    unknown().claim(B, 2).expect_impossible("can only have been");
    unknown().rescue(1).claim(B, 2).live(JobState::Running, 2, Some(B)).expect_possible();
}

#[test]
fn claim_of_unknown_outcome_may_hold_the_job() {
    let unknown =
        || test_history().insert(Insertion::New).does(&claim_request(A), &error(ErrorKind::UnknownOutcome));
    unknown().live(JobState::Ready, 0, None).expect_possible();
    unknown().live(JobState::Running, 1, Some(A)).expect_possible();
    unknown().live(JobState::Running, 1, Some(B)).expect_impossible("can only have been");
    unknown()
        .settle(A, completion(b"1"), Settled::Done)
        .ended(JobState::Completed, 1, Some(A), Some(b"1"))
        .expect_possible();
    unknown().claim(B, 1).live(JobState::Running, 1, Some(B)).expect_possible();
    // No later operation names the claim: it was charged an attempt only if a rescue followed.
    unknown().claim(B, 2).expect_impossible("can only have been");
    unknown().rescue(1).claim(B, 2).live(JobState::Running, 2, Some(B)).expect_possible();
    test_history()
        .insert(Insertion::New)
        .rescue(1)
        .claim(B, 2)
        .expect_impossible("can only have been Waiting { attempt: 0,");
}

#[test]
fn list_of_leases_contradicting_a_claim_is_impossible() {
    let held = |jobs| (LeasesRequest::new(WORKER, A), Ok(jobs));
    let (request, reply) = held(vec![job(A, 1)]);
    let unknown =
        || test_history().insert(Insertion::New).does(&claim_request(A), &error(ErrorKind::UnknownOutcome));
    unknown()
        .does(&request, &reply)
        .live(JobState::Ready, 0, None)
        .expect_impossible("can only have been Running");
    let (request, reply) = held(Vec::new());
    let claimed = test_history().insert(Insertion::New).claim(A, 1).does(&request, &reply);
    claimed.live(JobState::Running, 1, Some(A)).expect_impossible("Leased");
}

#[test]
fn retry_by_hand_grants_attempts_to_a_finished_job_only() {
    let failed = || Verdict::Retry { error: String::new(), delay: Duration::ZERO };
    let buried = || Verdict::Bury { error: String::new() };
    let dead = || test_history().insert(Insertion::New).claim(A, 1).settle(A, buried(), Settled::Done);
    let retried = || dead().retry(RetryReply::Retried);
    retried().live(JobState::Ready, 1, None).expect_possible();
    retried().ended(JobState::Dead, 1, Some(A), None).expect_impossible("can only have been Waiting");
    dead().retry(RetryReply::Unfinished(JobState::Ready)).expect_impossible("Retried(Unfinished(Ready))");
    dead().retry(RetryReply::KeyHeld(JOB)).ended(JobState::Dead, 1, Some(A), None).expect_possible();
    test_history().insert(Insertion::New).retry(RetryReply::Retried).expect_impossible("Retried(Retried)");
    test_history().retry(RetryReply::NotFound).expect_possible();
    // One attempt before it, and three after it.
    let used_up = [B, A, B].iter().zip(2..).fold(retried(), |history, (claim, attempt)| {
        history.claim(*claim, attempt).settle(*claim, failed(), Settled::Done)
    });
    used_up.ended(JobState::Dead, 4, Some(B), None).expect_possible();
    retried().settle(A, buried(), Settled::Done).expect_impossible("Settled");
    let unknown = || dead().does(&RetryRequest::new(vec![JOB]), &error(ErrorKind::UnknownOutcome));
    unknown().live(JobState::Ready, 1, None).expect_possible();
    unknown().ended(JobState::Dead, 1, Some(A), None).expect_possible();
}

#[test]
fn attempts_are_charged_once_and_limited() {
    let failed = || Verdict::Retry { error: String::new(), delay: Duration::ZERO };
    let twice = || {
        let first = test_history().insert(Insertion::New).claim(A, 1).settle(A, failed(), Settled::Done);
        first.claim(B, 2).settle(B, failed(), Settled::Done)
    };
    twice().live(JobState::Retrying, 2, None).expect_possible();
    twice().live(JobState::Retrying, 1, None).expect_impossible("can only have been Waiting { attempt: 2,");
    twice()
        .claim(A, 3)
        .settle(A, failed(), Settled::Done)
        .ended(JobState::Dead, 3, Some(A), None)
        .expect_possible();
    twice()
        .claim(A, 3)
        .settle(A, failed(), Settled::Done)
        .claim(B, 4)
        .expect_impossible("can only have been Ended");
    twice().claim(A, 3).rescue(1).ended(JobState::Dead, 3, None, None).expect_possible();
    test_history()
        .insert(Insertion::New)
        .claim(A, 2)
        .expect_impossible("can only have been Waiting { attempt: 0,");
}

#[test]
fn stale_read_is_impossible() {
    let inserted = || test_history().insert(Insertion::New);
    let ready = Some(Found { state: JobState::Ready, attempt: 0 });
    inserted().read(ready).live(JobState::Ready, 0, None).expect_possible();
    inserted().read(None).live(JobState::Ready, 0, None).expect_impossible("Read(None)");
    let read_twice = inserted().read(ready).read(ready);
    let last = read_twice.history.with_log(|log| log.operations[2].answered().cloned());
    assert_eq!(last, Some(Answered::Read(Vec::new())), "the second read found nothing new");
    let stale = inserted().read(ready).cancel(CancelReply::Cancelled).read(ready);
    stale.ended(JobState::Cancelled, 0, None, None).expect_impossible("can only have been Ended");
}

#[test]
fn pruned_job_may_be_missing_if_finished() {
    let mut reply = MaintainReply::default();
    reply.pruned = 1;
    let pruned = |test_history: TestHistory| {
        test_history.does(&MaintainRequest::prune(Default::default()), &Ok(reply.clone()))
    };
    pruned(test_history().insert(Insertion::New).cancel(CancelReply::Cancelled)).expect_possible();
    pruned(test_history().insert(Insertion::New)).expect_impossible("can only have been Waiting");
}

#[test]
fn job_with_many_operations_is_checked_quickly() {
    let mut many = test_history().insert(Insertion::New);
    for round in 0..2000_u32 {
        let claim = ClaimId::from_bytes([u8::try_from(round % 200).unwrap(); 16]);
        let lost = settle_request(claim, Verdict::Release);
        many = many.claim(claim, 1).does(&lost, &error(ErrorKind::UnknownOutcome));
        many = many.cancel(CancelReply::Running).settle(claim, Verdict::Release, Settled::Done).rescue(1);
    }
    many.live(JobState::Ready, 0, None).expect_possible();
}

#[test]
fn too_many_concurrent_operations_fail_the_check() {
    // All cancels met the running job, whose claim has the last request and the last reply.
    let history_of = |many: usize| {
        let test_history = test_history().insert(Insertion::New);
        let (cancel, claim) = (CancelRequest::new(vec![JOB]), claim_request(A));
        let cancels: Vec<u64> = (1..many).map(|_| test_history.ask(&cancel)).collect();
        let claimed = test_history.ask(&claim);
        for cancelled in cancels {
            test_history.answer::<CancelRequest>(cancelled, &Ok(vec![CancelReply::Running]));
        }
        let reply = ClaimReply::new(vec![job(A, 1)], None);
        test_history.answer::<ClaimRequest>(claimed, &Ok(reply));
        test_history.live(JobState::Running, 1, Some(A))
    };
    history_of(order::MAX_OPEN).expect_possible();
    history_of(order::MAX_OPEN + 1).expect_impossible("cannot be checked");
}
