//! Each violation is found, and nothing else.

use queue_core::backend::{LiveRow, OutcomeRow, Stored};
use queue_core::{ClaimId, JobId, QueueName, State, Timestamp, WorkerId};

use super::super::promise::Promise;
use super::audit;

fn waiting_row() -> LiveRow {
    LiveRow {
        id: JobId::from_bytes([1; 16]),
        queue: QueueName::default(),
        priority: 0,
        state: State::Ready,
        run_at: Timestamp::UNIX_EPOCH,
        attempt: 0,
        max_retries: 1,
        claim: None,
        worker: None,
        deadline: None,
    }
}

fn running_row() -> LiveRow {
    LiveRow {
        state: State::Running,
        attempt: 1,
        claim: Some(ClaimId::from_bytes([2; 16])),
        worker: Some(WorkerId::from_bytes([3; 16])),
        deadline: Some(Timestamp::MAX),
        ..waiting_row()
    }
}

fn outcome_row() -> OutcomeRow {
    OutcomeRow {
        id: JobId::from_bytes([1; 16]),
        state: State::Completed,
        finished_at: Timestamp::UNIX_EPOCH,
        attempt: 2,
        max_retries: 1,
        claim: Some(ClaimId::from_bytes([2; 16])),
        result: Some(Vec::new()),
        error: None,
    }
}

fn with_live(live: LiveRow) -> Stored {
    Stored { jobs: vec![live.id], live: vec![live], ..Stored::default() }
}

fn with_outcome(outcome: OutcomeRow) -> Stored {
    Stored { jobs: vec![outcome.id], outcomes: vec![outcome], ..Stored::default() }
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
    let dead = OutcomeRow { state: State::Dead, result: None, claim: None, ..outcome_row() };
    let cancelled =
        OutcomeRow { state: State::Cancelled, attempt: 0, result: None, claim: None, ..outcome_row() };
    for row in [outcome_row(), dead, cancelled] {
        assert_eq!(audit(&with_outcome(row)), []);
    }
}

#[test]
fn a_job_that_is_nowhere_is_lost() {
    let stored = Stored { jobs: vec![waiting_row().id], ..Stored::default() };
    finds(&stored, Promise::NoLostAck, "stands in `jobs` only: neither in `live` nor in `outcomes`");
}

#[test]
fn a_job_that_is_live_and_finished_is_found() {
    let stored = Stored { live: vec![waiting_row()], ..with_outcome(outcome_row()) };
    finds(&stored, Promise::TerminalFinal, "stands in `live` and in `outcomes`");
}

#[test]
fn a_row_without_its_job_is_a_phantom() {
    let live = Stored { jobs: Vec::new(), ..with_live(waiting_row()) };
    finds(&live, Promise::NoPhantom, "does not stand in `jobs`");
    let finished = Stored { jobs: Vec::new(), ..with_outcome(outcome_row()) };
    finds(&finished, Promise::NoPhantom, "does not stand in `jobs`");
}

#[test]
fn a_doubled_row_is_found() {
    let stored = Stored { live: vec![running_row(), running_row()], ..with_live(running_row()) };
    finds(&stored, Promise::NoPhantom, "stands twice in `live`");
}

#[test]
fn a_lease_in_parts_is_found() {
    finds(
        &with_live(LiveRow { claim: None, ..running_row() }),
        Promise::SingleLiveLease,
        "runs without a claim",
    );
    finds(
        &with_live(LiveRow { worker: None, ..running_row() }),
        Promise::SingleLiveLease,
        "runs without a worker",
    );
    let row = LiveRow { deadline: None, ..running_row() };
    finds(&with_live(row), Promise::SingleLiveLease, "runs without a deadline");
}

#[test]
fn what_is_left_of_a_lease_is_found() {
    let running = running_row();
    let row = LiveRow { claim: running.claim, ..waiting_row() };
    finds(&with_live(row), Promise::SingleLiveLease, "has a claim although ready");
    let row = LiveRow { worker: running.worker, ..waiting_row() };
    finds(&with_live(row), Promise::SingleLiveLease, "has a worker although ready");
    let row = LiveRow { deadline: running.deadline, ..waiting_row() };
    finds(&with_live(row), Promise::SingleLiveLease, "has a deadline although ready");
}

#[test]
fn attempts_out_of_bounds_are_found() {
    let promise = Promise::AttemptBound;
    let row = LiveRow { attempt: 0, ..running_row() };
    finds(&with_live(row), promise, "runs without being charged an attempt");
    finds(&with_live(LiveRow { attempt: 3, ..running_row() }), promise, "is charged 3 attempts of 2");
    let row = LiveRow { attempt: 2, ..waiting_row() };
    finds(&with_live(row), promise, "is ready although all 2 attempts are used");
    let row = LiveRow { state: State::Retrying, ..waiting_row() };
    finds(&with_live(row), promise, "is retrying without an attempt");
    finds(&with_outcome(OutcomeRow { attempt: 3, ..outcome_row() }), promise, "is charged 3 attempts of 2");
    let row = OutcomeRow { attempt: 0, ..outcome_row() };
    finds(&with_outcome(row), promise, "is completed although it never started");
}

#[test]
fn a_death_without_a_start_is_found() {
    let row = OutcomeRow { state: State::Dead, attempt: 0, result: None, claim: None, ..outcome_row() };
    finds(&with_outcome(row), Promise::AttemptBound, "is dead although it never started");
}

#[test]
fn a_state_in_the_wrong_table_is_found() {
    let row = LiveRow { state: State::Dead, ..waiting_row() };
    finds(&with_live(row), Promise::TerminalFinal, "is live although dead");
    let row = OutcomeRow { state: State::Ready, result: None, ..outcome_row() };
    finds(&with_outcome(row), Promise::TerminalFinal, "has an outcome although ready");
}

#[test]
fn a_result_of_a_job_that_did_not_complete_is_found() {
    let row = OutcomeRow { state: State::Cancelled, ..outcome_row() };
    finds(&with_outcome(row), Promise::ResultIffComplete, "has a result although cancelled");
}

#[test]
fn a_completion_without_a_claim_is_found() {
    finds(
        &with_outcome(OutcomeRow { claim: None, ..outcome_row() }),
        Promise::FencedSettle,
        "is completed by no claim",
    );
}
