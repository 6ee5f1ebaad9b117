//! What cannot have happened is found, and what can is not.

use queue_core::{ClaimId, WorkerId};

use super::super::event::{Failure, Lease};
use super::super::testimony::Expires;
use super::*;
use crate::child::Line;

const A: ClaimId = ClaimId::from_bytes([0xa; 16]);
const B: ClaimId = ClaimId::from_bytes([0xb; 16]);
const JOB: JobId = JobId::from_bytes([1; 16]);
const OTHER: JobId = JobId::from_bytes([2; 16]);
const WORKER: WorkerId = WorkerId::from_bytes([3; 16]);
const FINISHED: Met = Met::Finished(State::Completed);

/// Lines of one process, an operation at a time: asked at one second, answered at another.
#[derive(Default)]
struct Says {
    lines: Vec<Line>,
    number: u64,
    gone_from: Option<Duration>,
    expires: Option<Duration>,
}

impl Says {
    fn ask(mut self, at: u64, asked: Asked) -> Self {
        self.number += 1;
        let number = self.number;
        self.line(at, &Event::Asks(number, asked))
    }

    fn line(mut self, at: u64, event: &Event) -> Self {
        let text = serde_json::to_string(event).unwrap();
        self.lines.push(Line { at: Duration::from_secs(at), text });
        self
    }

    fn answer(self, at: u64, answered: Answered) -> Self {
        let number = self.number;
        self.line(at, &Event::Answers(number, answered))
    }

    fn inserts(self, at: u64, jobs: &[JobId]) -> Self {
        let new = vec![true; jobs.len()];
        self.ask(at, Asked::Insert(vec![jobs.to_vec()])).answer(at + 1, Answered::Inserted(vec![Ok(new)]))
    }

    fn claims(self, at: u64, claim: ClaimId, attempt: u32) -> Self {
        let asked = Asked::Claim { claim, worker: WORKER };
        self.ask(at, asked).answer(at + 1, Answered::Claimed(vec![(JOB, attempt)]))
    }

    fn sends_end(self, at: u64, claim: ClaimId, ending: Ending) -> Self {
        self.ask(at, Asked::Settle(vec![(Lease { job: JOB, claim }, ending)]))
    }

    fn ends(self, at: u64, claim: ClaimId, ending: Ending, end: End) -> Self {
        self.sends_end(at, claim, ending).answer(at + 1, Answered::Settled(vec![Ok(end)]))
    }

    fn cancels(self, at: u64, met: Met) -> Self {
        self.ask(at, Asked::Cancel(vec![JOB])).answer(at + 1, Answered::Cancelled(vec![met]))
    }

    fn beats(self, at: u64) -> Self {
        self.ask(at, Asked::Beat(Named(WORKER))).answer(at + 1, Answered::Alive)
    }

    fn starts(self, at: u64, attempt: u32) -> Self {
        self.line(at, &Event::Starts { job: JOB, attempt })
    }

    fn gone_from(mut self, at: u64) -> Self {
        self.gone_from = Some(Duration::from_secs(at));
        self
    }

    fn expiring_after(mut self, seconds: u64) -> Self {
        self.expires = Some(Duration::from_secs(seconds));
        self
    }

    fn testimony(self) -> Testimony {
        let expires = self.expires.map_or(Expires::OnceGone, Expires::After);
        Testimony { name: "a process".to_owned(), lines: self.lines, expires, gone_from: self.gone_from }
    }
}

fn outcome(state: State, claim: Option<ClaimId>, attempt: u32, result: Option<&[u8]>) -> OutcomeRow {
    let finished_at = queue_core::Timestamp::UNIX_EPOCH;
    let result = result.map(<[u8]>::to_vec);
    OutcomeRow::new(JOB, state, finished_at).attempt(attempt).max_retries(3).claim(claim).result(result)
}

/// The first fault, if there is one.
#[track_caller]
fn check(says: Vec<Says>, jobs: &[JobId], outcomes: Vec<OutcomeRow>) -> Result<(), String> {
    let testimonies: Vec<Testimony> = says.into_iter().map(Says::testimony).collect();
    let stored = Stored::new(jobs.to_vec(), Vec::new(), outcomes, Vec::new());
    Ledger::new(&testimonies).check(&stored).map_err(|error| error.to_string())
}

#[track_caller]
fn is_found(found: Result<(), String>, part: &str) {
    let error = found.unwrap_err();
    assert!(error.contains(part), "{error}");
}

fn completes(result: &[u8]) -> Ending {
    Ending::Complete(Some(result.to_vec()))
}

fn completed_by(claim: ClaimId, attempt: u32) -> Vec<OutcomeRow> {
    vec![outcome(State::Completed, Some(claim), attempt, Some(b"r"))]
}

fn life() -> Says {
    Says::default().inserts(0, &[JOB]).claims(10, A, 1).starts(12, 1)
}

#[test]
fn a_life_that_can_be_is_believed() {
    let says = life().ends(20, A, Ending::Retry, End::Done).claims(30, B, 2).starts(32, 2);
    let says = says.ends(40, B, completes(b"r"), End::Done).cancels(50, FINISHED);
    assert_eq!(check(vec![says], &[JOB], completed_by(B, 2)), Ok(()));
}

#[test]
fn what_is_not_known_may_have_happened_or_not() {
    let sent = || Says::default().ask(0, Asked::Insert(vec![vec![JOB, OTHER]]));
    assert_eq!(check(vec![sent()], &[], vec![]), Ok(()));
    let both = |sent: Says| {
        let ended = [JOB, OTHER].map(|id| {
            let mut dead = outcome(State::Dead, None, 4, None);
            dead.id = id;
            dead
        });
        check(vec![sent], &[JOB, OTHER], ended.to_vec())
    };
    assert_eq!(both(sent()), Ok(()));
    assert_eq!(both(sent().answer(1, Answered::Failed(Failure::Unknown))), Ok(()));
    is_found(both(sent().answer(1, Answered::Failed(Failure::Refused))), "although it was refused");
    let dead = vec![outcome(State::Dead, None, 4, None)];
    is_found(check(vec![sent()], &[JOB], dead), "Q5 batch-atomic");
    let cut = || life().sends_end(20, A, completes(b"r")).gone_from(21);
    assert_eq!(check(vec![cut()], &[JOB], completed_by(A, 1)), Ok(()));
    let taker = Says::default().claims(30, B, 2).ends(40, B, completes(b"r"), End::Done);
    assert_eq!(check(vec![cut(), taker], &[JOB], completed_by(B, 2)), Ok(()));
}

#[test]
fn what_was_acknowledged_and_is_gone_is_found() {
    let inserts = || Says::default().inserts(0, &[JOB]);
    is_found(check(vec![inserts()], &[], vec![]), "Q1 no-lost-ack: the batch of 1 jobs");
    is_found(check(vec![inserts()], &[JOB], vec![]), "has not ended");
}

#[test]
fn what_nobody_enqueued_is_found() {
    is_found(check(vec![], &[JOB], vec![outcome(State::Dead, None, 4, None)]), "was enqueued by nobody");
    let late = Says::default().claims(0, A, 1).ends(2, A, completes(b"r"), End::Done).inserts(8, &[JOB]);
    is_found(check(vec![late], &[JOB], completed_by(A, 1)), "ran before it was enqueued");
}

#[test]
fn a_lease_that_was_taken_from_the_living_is_found() {
    let taker = || Says::default().claims(30, B, 2).ends(40, B, completes(b"r"), End::Done);
    let taken = |holder: Says| check(vec![holder, taker()], &[JOB], completed_by(B, 2));
    is_found(taken(life()), "Q3 single-live-lease: was taken from a process");
    is_found(taken(life().gone_from(35)), "was taken from");
    assert_eq!(taken(life().gone_from(25)), Ok(()));
    is_found(taken(life().beats(20).expiring_after(15)), "was taken from");
    assert_eq!(taken(life().beats(15).expiring_after(15)), Ok(()));
    is_found(taken(life().ends(35, A, Ending::Release, End::Done)), "was taken from");
    is_found(taken(life().ends(20, A, Ending::Release, End::LeaseLost)), "was taken from");
}

#[test]
fn a_lease_that_is_lost_without_a_reason_is_found() {
    let lost = |holder: Says| {
        let holder = holder.ends(20, A, Ending::Bury, End::LeaseLost);
        check(vec![holder], &[JOB], vec![outcome(State::Dead, None, 4, None)])
    };
    is_found(lost(life()), "was lost to a process");
    assert_eq!(lost(life().gone_from(15)), Ok(()));
    assert_eq!(lost(life().sends_end(14, A, Ending::Retry)), Ok(()));
}

#[test]
fn an_end_that_was_not_the_holders_is_found() {
    let done = || life().ends(20, A, completes(b"r"), End::Done);
    assert_eq!(check(vec![done()], &[JOB], completed_by(A, 1)), Ok(()));
    let other_result = vec![outcome(State::Completed, Some(A), 1, Some(b"other"))];
    is_found(check(vec![done()], &[JOB], other_result), "Q10 result-iff-complete");
    let dead = vec![outcome(State::Dead, Some(A), 1, None)];
    is_found(check(vec![done()], &[JOB], dead), "Q8 terminal-final");
    is_found(check(vec![done()], &[JOB], completed_by(B, 1)), "which nobody made");
    let only_entered = Says::default().inserts(0, &[JOB]);
    is_found(check(vec![only_entered], &[JOB], completed_by(A, 1)), "of which nobody spoke");
    is_found(check(vec![done()], &[JOB], completed_by(A, 2)), "Q7 attempt-bound: ended as attempt 2");
    is_found(check(vec![life()], &[JOB], completed_by(A, 1)), "its lease was not settled");
    let early = vec![outcome(State::Dead, None, 2, None)];
    is_found(check(vec![life().gone_from(15)], &[JOB], early), "died with attempts left");
}

#[test]
fn a_start_without_a_claim_is_found() {
    let twice = life().starts(13, 1).ends(20, A, completes(b"r"), End::Done);
    is_found(check(vec![twice], &[JOB], completed_by(A, 1)), "started 2 times as attempt 1, of 1 claims");
}

#[test]
fn a_cancel_that_lies_is_found() {
    let inserts = || Says::default().inserts(0, &[JOB]);
    let cancelled = || vec![outcome(State::Cancelled, None, 0, None)];
    assert_eq!(check(vec![inserts().cancels(5, Met::Waiting)], &[JOB], cancelled()), Ok(()));
    is_found(check(vec![inserts().cancels(5, Met::Running)], &[JOB], cancelled()), "which nobody was told");
    let runs = inserts().cancels(5, Met::Waiting).claims(10, A, 1).ends(20, A, completes(b"r"), End::Done);
    is_found(check(vec![runs], &[JOB], completed_by(A, 1)), "Q9 cancel-linearizable: was cancelled");
    let finished = inserts().cancels(5, FINISHED).claims(10, A, 1).ends(20, A, completes(b"r"), End::Done);
    let found = check(vec![finished], &[JOB], completed_by(A, 1));
    is_found(found, "met a cancel (Finished(Completed)), and runs");
}

#[test]
fn a_cancel_that_names_another_end_is_found() {
    let done = life().ends(20, A, completes(b"r"), End::Done).cancels(30, Met::Finished(State::Cancelled));
    let found = check(vec![done], &[JOB], completed_by(A, 1));
    is_found(found, "Q9 cancel-linearizable: was found cancelled by a cancel");
}

#[test]
fn a_lease_that_outlives_a_cancel_of_the_finished_is_found() {
    let checked = |says: Vec<Says>| check(says, &[JOB], completed_by(A, 1));
    let later = life().cancels(20, FINISHED).ends(30, A, completes(b"r"), End::Done);
    is_found(checked(vec![later]), "met a cancel (Finished(Completed)), and runs");
    let repeated = life().sends_end(15, A, completes(b"r")).cancels(20, FINISHED);
    assert_eq!(checked(vec![repeated.ends(30, A, completes(b"r"), End::Done)]), Ok(()));
    let at_once = life().ends(20, A, completes(b"r"), End::Done);
    assert_eq!(checked(vec![at_once, Says::default().cancels(20, FINISHED)]), Ok(()));
}

#[test]
fn a_cancel_that_misses_what_was_acknowledged_is_found() {
    let missed = |inserted: Says, at: u64| {
        let works = Says::default().claims(10, A, 1).ends(20, A, completes(b"r"), End::Done);
        let cancels = Says::default().cancels(at, Met::Nothing);
        check(vec![inserted, works, cancels], &[JOB], completed_by(A, 1))
    };
    let inserted = || Says::default().inserts(0, &[JOB]);
    is_found(missed(inserted(), 1), "Q9 cancel-linearizable: was acknowledged, and a cancel did not find it");
    assert_eq!(missed(inserted(), 0), Ok(()));
    assert_eq!(missed(Says::default().ask(0, Asked::Insert(vec![vec![JOB]])), 30), Ok(()));
}
