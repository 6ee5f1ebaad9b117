//! Each violation is found, and nothing else.

use queue_core::backend::{LiveRow, OutcomeRow, Stored};
use queue_core::{ClaimId, JobId, QueueName, State, Timestamp, WorkerId};

use super::super::promise::Promise;
use super::audit;

fn waiting_row() -> LiveRow {
    LiveRow::new(JobId::from_bytes([1; 16]), QueueName::default(), State::Ready, Timestamp::UNIX_EPOCH)
        .max_retries(1)
}

fn running_row() -> LiveRow {
    waiting_row()
        .state(State::Running)
        .attempt(1)
        .claim(Some(ClaimId::from_bytes([2; 16])))
        .worker(Some(WorkerId::from_bytes([3; 16])))
        .deadline(Some(Timestamp::MAX))
}

fn outcome_row() -> OutcomeRow {
    OutcomeRow::new(JobId::from_bytes([1; 16]), State::Completed, Timestamp::UNIX_EPOCH)
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
fn sound_rows_pass() {
    for row in [waiting_row(), running_row()] {
        assert_eq!(audit(&with_live(row)), []);
    }
    let dead = outcome_row().state(State::Dead).result(None).claim(None);
    let cancelled = outcome_row().state(State::Cancelled).attempt(0).result(None).claim(None);
    for row in [outcome_row(), dead, cancelled] {
        assert_eq!(audit(&with_outcome(row)), []);
    }
}

#[test]
fn a_job_that_is_nowhere_is_lost() {
    let stored = Stored::new(vec![waiting_row().id], Vec::new(), Vec::new(), Vec::new());
    finds(&stored, Promise::NoLostAck, "stands in `jobs` only: neither in `live` nor in `outcomes`");
}

#[test]
fn a_job_that_is_live_and_finished_is_found() {
    let mut stored = with_outcome(outcome_row());
    stored.live.push(waiting_row());
    finds(&stored, Promise::TerminalFinal, "stands in `live` and in `outcomes`");
}

#[test]
fn a_row_without_its_job_is_a_phantom() {
    let mut live = with_live(waiting_row());
    live.jobs.clear();
    finds(&live, Promise::NoPhantom, "does not stand in `jobs`");
    let mut finished = with_outcome(outcome_row());
    finished.jobs.clear();
    finds(&finished, Promise::NoPhantom, "does not stand in `jobs`");
}

#[test]
fn a_doubled_row_is_found() {
    let mut stored = with_live(running_row());
    stored.live.push(running_row());
    finds(&stored, Promise::NoPhantom, "stands twice in `live`");
}

#[test]
fn a_lease_in_parts_is_found() {
    finds(&with_live(running_row().claim(None)), Promise::SingleLiveLease, "runs without a claim");
    finds(&with_live(running_row().worker(None)), Promise::SingleLiveLease, "runs without a worker");
    let row = running_row().deadline(None);
    finds(&with_live(row), Promise::SingleLiveLease, "runs without a deadline");
}

#[test]
fn what_is_left_of_a_lease_is_found() {
    let running = running_row();
    let row = waiting_row().claim(running.claim);
    finds(&with_live(row), Promise::SingleLiveLease, "has a claim although ready");
    let row = waiting_row().worker(running.worker);
    finds(&with_live(row), Promise::SingleLiveLease, "has a worker although ready");
    let row = waiting_row().deadline(running.deadline);
    finds(&with_live(row), Promise::SingleLiveLease, "has a deadline although ready");
}

#[test]
fn attempts_out_of_bounds_are_found() {
    let promise = Promise::AttemptBound;
    let row = running_row().attempt(0);
    finds(&with_live(row), promise, "runs without being charged an attempt");
    finds(&with_live(running_row().attempt(3)), promise, "is charged 3 attempts of 2");
    let row = waiting_row().attempt(2);
    finds(&with_live(row), promise, "is ready although all 2 attempts are used");
    let row = waiting_row().state(State::Retrying);
    finds(&with_live(row), promise, "is retrying without an attempt");
    finds(&with_outcome(outcome_row().attempt(3)), promise, "is charged 3 attempts of 2");
    let row = outcome_row().attempt(0);
    finds(&with_outcome(row), promise, "is completed although it never started");
}

#[test]
fn a_death_without_a_start_is_found() {
    let row = outcome_row().state(State::Dead).attempt(0).result(None).claim(None);
    finds(&with_outcome(row), Promise::AttemptBound, "is dead although it never started");
}

#[test]
fn a_state_in_the_wrong_table_is_found() {
    let row = waiting_row().state(State::Dead);
    finds(&with_live(row), Promise::TerminalFinal, "is live although dead");
    let row = outcome_row().state(State::Ready).result(None);
    finds(&with_outcome(row), Promise::TerminalFinal, "has an outcome although ready");
}

#[test]
fn a_result_of_a_job_that_did_not_complete_is_found() {
    let row = outcome_row().state(State::Cancelled);
    finds(&with_outcome(row), Promise::ResultIffComplete, "has a result although cancelled");
}

#[test]
fn a_completion_without_a_claim_is_found() {
    finds(&with_outcome(outcome_row().claim(None)), Promise::FencedSettle, "is completed by no claim");
}
