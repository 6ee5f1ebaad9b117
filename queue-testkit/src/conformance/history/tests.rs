use super::*;

const A: ClaimId = ClaimId::from_bytes([0xa; 16]);
const B: ClaimId = ClaimId::from_bytes([0xb; 16]);

fn is_possible(events: &[(u64, u64, Step)]) -> bool {
    let history = History::default();
    let event = |&(asked, answered, step)| Event { asked, answered, step };
    let events = events.iter().map(event).collect();
    history.events.lock().unwrap().insert(JobId::from_bytes([1; 16]), events);
    history.check().is_ok()
}

#[test]
fn answers_that_fit_one_order_are_possible() {
    assert!(is_possible(&[
        (0, 9, Step::Inserted(true)),
        (1, 2, Step::Cancel(CancelReply::NotFound)),
        (3, 4, Step::Claimed(A)),
        (5, 6, Step::GivenBack(A, Settled::Done)),
        (5, 12, Step::Cancel(CancelReply::Running)),
        (7, 8, Step::Claimed(B)),
        (10, 11, Step::Completed(B, Settled::Done)),
        (13, 14, Step::Completed(A, Settled::LeaseLost)),
        (15, 16, Step::Cancel(CancelReply::Finished(State::Completed))),
        (17, 18, Step::Inserted(false)),
    ]));
}

#[test]
fn two_live_leases_are_impossible() {
    let inserted = (0, 1, Step::Inserted(true));
    assert!(!is_possible(&[inserted, (2, 3, Step::Claimed(A)), (4, 5, Step::Claimed(B))]));
    let given_back = (6, 7, Step::GivenBack(A, Settled::Done));
    assert!(!is_possible(&[inserted, (2, 3, Step::Claimed(A)), (4, 5, Step::Claimed(B)), given_back]));
    assert!(is_possible(&[inserted, (2, 3, Step::Claimed(A)), (4, 8, Step::Claimed(B)), given_back]));
}

#[test]
fn a_cancel_that_lies_is_impossible() {
    let inserted = (0, 1, Step::Inserted(true));
    let claimed = (2, 3, Step::Claimed(A));
    assert!(!is_possible(&[inserted, (4, 5, Step::Cancel(CancelReply::Cancelled)), claimed]));
    assert!(!is_possible(&[inserted, (2, 3, Step::Cancel(CancelReply::NotFound))]));
    assert!(!is_possible(&[inserted, (2, 3, Step::Cancel(CancelReply::Running))]));
    let finished = CancelReply::Finished(State::Completed);
    assert!(!is_possible(&[inserted, claimed, (4, 5, Step::Cancel(finished))]));
}
