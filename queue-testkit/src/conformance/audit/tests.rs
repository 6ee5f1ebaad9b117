//! The audit finds each violation and no other.

use std::collections::BTreeMap;

use queue_core::backend::{KeyRow, LiveRow, OutcomeRow, Stored};
use queue_core::{ClaimId, JobId, JobState, Kind, QueueName, Timestamp, WorkerId};

use super::super::promise::Promise;
use super::Violation;

/// The violations in rows of jobs that were never retried by hand.
fn audit(stored: &Stored) -> Vec<Violation> {
    super::audit(stored, &BTreeMap::new())
}

fn waiting_row() -> LiveRow {
    LiveRow::new(JobId::from_bytes([1; 16]), QueueName::default(), JobState::Ready, Timestamp::UNIX_EPOCH)
        .max_retries(1)
}

fn running_row() -> LiveRow {
    waiting_row()
        .state(JobState::Running)
        .attempt(1)
        .claim(Some(ClaimId::from_bytes([2; 16])))
        .worker(Some(WorkerId::from_bytes([3; 16])))
        .deadline(Some(Timestamp::MAX))
}

fn outcome_row() -> OutcomeRow {
    OutcomeRow::new(JobId::from_bytes([1; 16]), JobState::Completed, Timestamp::UNIX_EPOCH)
        .attempt(2)
        .max_retries(1)
        .claim(Some(ClaimId::from_bytes([2; 16])))
        .result(Some(Vec::new()))
}

fn with_live(live: LiveRow) -> Stored {
    Stored::new(vec![live.id], vec![live], Vec::new(), Vec::new())
}

fn with_outcome(outcome: OutcomeRow) -> Stored {
    Stored::new(vec![outcome.id], Vec::new(), vec![outcome], Vec::new())
}

#[track_caller]
fn finds(stored: &Stored, promise: Promise, fault: &str) {
    let violations = audit(stored);
    let found: Vec<_> =
        violations.iter().map(|violation| (violation.promise, violation.fault.as_str())).collect();
    assert_eq!(found, [(promise, fault)]);
}

#[test]
fn correct_rows_have_no_violation() {
    for row in [waiting_row(), running_row()] {
        assert_eq!(audit(&with_live(row)), []);
    }
    let dead = outcome_row().state(JobState::Dead).result(None).claim(None);
    let cancelled = outcome_row().state(JobState::Cancelled).attempt(0).result(None).claim(None);
    for row in [outcome_row(), dead, cancelled] {
        assert_eq!(audit(&with_outcome(row)), []);
    }
}

#[test]
fn job_only_in_jobs_is_a_violation() {
    let stored = Stored::new(vec![waiting_row().id], Vec::new(), Vec::new(), Vec::new());
    finds(&stored, Promise::NoLostAck, "is only in `jobs`: neither in `live` nor in `outcomes`");
}

#[test]
fn job_live_and_finished_is_a_violation() {
    let mut stored = with_outcome(outcome_row());
    stored.live.push(waiting_row());
    finds(&stored, Promise::TerminalFinal, "is in `live` and in `outcomes`");
}

#[test]
fn row_without_a_job_is_a_violation() {
    let mut live = with_live(waiting_row());
    live.jobs.clear();
    finds(&live, Promise::NoPhantom, "is missing in `jobs`");
    let mut finished = with_outcome(outcome_row());
    finished.jobs.clear();
    finds(&finished, Promise::NoPhantom, "is missing in `jobs`");
}

#[test]
fn two_rows_of_one_job_are_a_violation() {
    let mut stored = with_live(running_row());
    stored.live.push(running_row());
    finds(&stored, Promise::NoPhantom, "has two rows in `live`");
}

#[test]
fn incomplete_lease_is_a_violation() {
    finds(&with_live(running_row().claim(None)), Promise::SingleLiveLease, "is running without a claim");
    finds(&with_live(running_row().worker(None)), Promise::SingleLiveLease, "is running without a worker");
    let row = running_row().deadline(None);
    finds(&with_live(row), Promise::SingleLiveLease, "is running without a deadline");
}

#[test]
fn lease_of_a_waiting_job_is_a_violation() {
    let running = running_row();
    let row = waiting_row().claim(running.claim);
    finds(&with_live(row), Promise::SingleLiveLease, "has a claim although it is ready");
    let row = waiting_row().worker(running.worker);
    finds(&with_live(row), Promise::SingleLiveLease, "has a worker although it is ready");
    let row = waiting_row().deadline(running.deadline);
    finds(&with_live(row), Promise::SingleLiveLease, "has a deadline although it is ready");
}

#[test]
fn attempts_out_of_bounds_are_a_violation() {
    let promise = Promise::AttemptBound;
    let row = running_row().attempt(0);
    finds(&with_live(row), promise, "is running without a charged attempt");
    finds(
        &with_live(running_row().attempt(3)),
        promise,
        "is charged 3 attempts, but at most 2 are permitted",
    );
    let row = waiting_row().attempt(2);
    finds(&with_live(row), promise, "is ready although all 2 attempts are charged");
    let row = waiting_row().state(JobState::Retrying);
    finds(&with_live(row), promise, "is retrying without a charged attempt");
    finds(
        &with_outcome(outcome_row().attempt(3)),
        promise,
        "is charged 3 attempts, but at most 2 are permitted",
    );
    let row = outcome_row().attempt(0);
    finds(&with_outcome(row), promise, "is completed although it never started");
}

#[test]
fn dead_job_that_never_started_is_a_violation() {
    let row = outcome_row().state(JobState::Dead).attempt(0).result(None).claim(None);
    finds(&with_outcome(row), Promise::AttemptBound, "is dead although it never started");
}

#[test]
fn state_in_the_wrong_table_is_a_violation() {
    let row = waiting_row().state(JobState::Dead);
    finds(&with_live(row), Promise::TerminalFinal, "is in `live` although it is dead");
    let row = outcome_row().state(JobState::Ready).result(None);
    finds(&with_outcome(row), Promise::TerminalFinal, "is in `outcomes` although it is ready");
}

#[test]
fn result_of_a_cancelled_job_is_a_violation() {
    let row = outcome_row().state(JobState::Cancelled);
    finds(&with_outcome(row), Promise::ResultIffComplete, "has a result although it is cancelled");
}

#[test]
fn completed_job_without_a_claim_is_a_violation() {
    finds(&with_outcome(outcome_row().claim(None)), Promise::FencedSettle, "is completed without a claim");
}

fn key_row(job: JobId) -> KeyRow {
    KeyRow::new(Kind::new("a").unwrap(), "k", job)
}

#[test]
fn unique_job_without_its_key_is_a_violation() {
    let stored = with_live(waiting_row().unique(true));
    finds(&stored, Promise::UniqueOnce, "is unique, but holds no key");
    let held = stored.unique_keys(vec![key_row(waiting_row().id)]);
    assert_eq!(audit(&held), []);
}

#[test]
fn key_without_its_unique_job_is_a_violation() {
    let stored = with_live(waiting_row()).unique_keys(vec![key_row(waiting_row().id)]);
    finds(&stored, Promise::UniqueOnce, "holds the key `k`, but is no unfinished unique job");
    let kept = key_row(waiting_row().id).until(Some(Timestamp::MAX));
    assert_eq!(audit(&with_outcome(outcome_row()).unique_keys(vec![kept])), []);
}

#[test]
fn key_that_is_held_twice_is_a_violation() {
    let id = JobId::from_bytes([9; 16]);
    let kept = [key_row(id), key_row(waiting_row().id)].map(|row| row.until(Some(Timestamp::MAX)));
    let stored = with_live(waiting_row()).unique_keys(kept.to_vec());
    finds(&stored, Promise::UniqueOnce, "holds the key `k`, which another job holds");
}
