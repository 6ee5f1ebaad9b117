//! Possible and impossible histories.

mod processes;

use std::cell::Cell;
use std::time::Duration;

use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, ClaimedJob, Completion, InsertReply, InsertRequest,
    LeasesRequest, LiveRow, MaintainReply, MaintainRequest, OutcomeRow, SettleRequest, Settled, Settlement,
    Verdict,
};
use queue_core::{
    ClaimId, Error, ErrorKind, Insertion, JobSpec, Kind, Payload, QueueName, State, Submitted, Timestamp,
    Token, WorkerId,
};

use super::request::{Request, answer};
use super::*;

const A: ClaimId = ClaimId::from_bytes([0xa; 16]);
const B: ClaimId = ClaimId::from_bytes([0xb; 16]);
const JOB: JobId = JobId::from_bytes([1; 16]);
const WORKER: WorkerId = WorkerId::from_bytes([2; 16]);

/// Operations of one process, one after another unless `ask` and `answer` are called separately.
struct TestHistory {
    history: Arc<History>,
    sink: Arc<dyn Sink>,
    asked: Cell<u64>,
    stored: Stored,
}

fn error<T>(kind: ErrorKind) -> queue_core::Result<T> {
    Err(Error::new(kind, "test the history", "the test requests it"))
}

fn spec() -> JobSpec {
    JobSpec::new(JOB, Kind::new("job").unwrap(), Payload::json("{}").unwrap())
        .max_retries(2)
        .priority(0)
        .timeout(Duration::from_secs(1))
        .queue(QueueName::default())
}

fn job(claim: ClaimId, attempt: u32) -> ClaimedJob {
    ClaimedJob::new(claim, attempt, Timestamp::UNIX_EPOCH, spec())
}

fn claim_request(claim: ClaimId) -> ClaimRequest {
    ClaimRequest::new(WORKER, claim, QueueName::default(), [Kind::new("job").unwrap()], 1)
}

fn settle_request(claim: ClaimId, verdict: Verdict) -> SettleRequest {
    SettleRequest::new(WORKER, vec![Settlement::new(Token { job: JOB, claim }, verdict)])
}

fn completion(result: &[u8]) -> Verdict {
    Verdict::Complete(Completion::new().result(result.to_vec()))
}

impl TestHistory {
    fn ask(&self, request: &impl Request) -> u64 {
        self.write(Event::Asked(self.asked.get() + 1, request.asked()))
    }

    /// Writes an event and returns its number.
    fn write(&self, event: Event) -> u64 {
        self.asked.set(self.asked.get() + 1);
        self.sink.write(event);
        self.asked.get()
    }

    fn answer<R: Request>(&self, number: u64, reply: &queue_core::Result<R::Reply>) {
        self.sink.write(Event::Answered(number, answer::<R>(reply)));
    }

    fn does<R: Request>(self, request: &R, reply: &queue_core::Result<R::Reply>) -> Self {
        let number = self.ask(request);
        self.answer::<R>(number, reply);
        self
    }

    /// Writes the request of a dropped future.
    fn drop_midway(self, request: &impl Request) -> Self {
        self.ask(request);
        self
    }

    fn read(self, found: Option<Found>) -> Self {
        let number = self.write(Event::Asked(self.asked.get() + 1, Asked::Read));
        self.sink.write(Event::Answered(number, Answered::Read(vec![(JOB, found)])));
        self
    }

    fn insert(self, insertion: Insertion) -> Self {
        let result = Ok(vec![Submitted::new(JOB, insertion)]);
        self.does(&InsertRequest::new(vec![vec![spec()]]), &Ok(InsertReply::new(vec![result])))
    }

    fn insert_fails(self, kind: ErrorKind) -> Self {
        self.does(&InsertRequest::new(vec![vec![spec()]]), &Ok(InsertReply::new(vec![error(kind)])))
    }

    fn claim(self, claim: ClaimId, attempt: u32) -> Self {
        self.does(&claim_request(claim), &Ok(ClaimReply::new(vec![job(claim, attempt)], None)))
    }

    fn settle(self, claim: ClaimId, verdict: Verdict, answer: Settled) -> Self {
        self.does(&settle_request(claim, verdict), &Ok(vec![Ok(answer)]))
    }

    fn cancel(self, reply: CancelReply) -> Self {
        self.does(&CancelRequest::new(vec![JOB]), &Ok(vec![reply]))
    }

    fn rescue(self, rescued: u64) -> Self {
        let mut reply = MaintainReply::default();
        reply.rescued = rescued;
        self.does(&MaintainRequest::rescue(9), &Ok(reply))
    }

    fn live(mut self, state: State, attempt: u32, claim: Option<ClaimId>) -> Self {
        self.stored.jobs.push(JOB);
        self.stored.live.push(
            LiveRow::new(JOB, QueueName::default(), state, Timestamp::UNIX_EPOCH)
                .priority(0)
                .attempt(attempt)
                .max_retries(2)
                .claim(claim),
        );
        self
    }

    fn ended(mut self, state: State, attempt: u32, claim: Option<ClaimId>, result: Option<&[u8]>) -> Self {
        self.stored.jobs.push(JOB);
        self.stored.outcomes.push(
            OutcomeRow::new(JOB, state, Timestamp::UNIX_EPOCH)
                .attempt(attempt)
                .max_retries(2)
                .claim(claim)
                .result(result.map(<[u8]>::to_vec)),
        );
        self
    }

    /// The failure of the check; empty if it passes.
    fn failure(&self) -> String {
        let (asked, answered) = (self.history.moment(), self.history.moment());
        let checked = self.history.check(&Rows { asked, answered, stored: &self.stored });
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[track_caller]
    fn is_possible(self) {
        assert_eq!(self.failure(), "");
    }

    #[track_caller]
    fn is_impossible(self, why: &str) {
        let failure = self.failure();
        assert!(failure.contains(why), "`{why}` is not in: {failure}");
    }
}

fn test_history() -> TestHistory {
    let history = Arc::<History>::default();
    let sink = history.process("the case");
    TestHistory { history, sink, asked: Cell::new(0), stored: Stored::default() }
}

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
        .cancel(CancelReply::Finished(State::Completed))
        .insert(Insertion::Known)
        .ended(State::Completed, 1, Some(B), Some(b"2"))
        .is_possible();
}

#[test]
fn missing_acknowledged_job_is_impossible() {
    test_history().insert(Insertion::New).is_impossible("can only have been Waiting { attempt: 0 }");
    test_history().insert(Insertion::New).claim(A, 1).is_impossible("can only have been Running");
}

#[test]
fn job_that_was_never_enqueued_is_impossible() {
    test_history().live(State::Ready, 0, None).is_impossible("can only have been Absent");
    test_history().claim(A, 1).live(State::Running, 1, Some(A)).is_impossible("can only have been Absent");
}

#[test]
fn insert_without_reply_is_executed_at_most_once() {
    for kind in [None, Some(ErrorKind::UnknownOutcome)] {
        let test_history = || match kind {
            Some(kind) => test_history().insert_fails(kind),
            None => test_history().drop_midway(&InsertRequest::new(vec![vec![spec()]])),
        };
        test_history().is_possible();
        test_history().live(State::Ready, 0, None).is_possible();
        test_history().insert(Insertion::New).live(State::Ready, 0, None).is_possible();
        test_history().insert(Insertion::Known).live(State::Ready, 0, None).is_possible();
        // The insert may be executed late, but stores one job.
        test_history().cancel(CancelReply::NotFound).live(State::Ready, 0, None).is_possible();
        test_history().insert(Insertion::New).is_impossible("Read(None)");
    }
}

#[test]
fn failed_request_that_took_effect_is_impossible() {
    for kind in [ErrorKind::Busy, ErrorKind::Unavailable, ErrorKind::Invalid, ErrorKind::Conflict] {
        test_history().insert_fails(kind).is_possible();
        test_history()
            .insert_fails(kind)
            .live(State::Ready, 0, None)
            .is_impossible("can only have been Absent");
        let completed = settle_request(A, completion(b"1"));
        test_history()
            .insert(Insertion::New)
            .claim(A, 1)
            .does(&completed, &error(kind))
            .ended(State::Completed, 1, Some(A), Some(b"1"))
            .is_impossible("can only have been Running");
    }
}

#[test]
fn two_live_leases_are_impossible() {
    let two = || test_history().insert(Insertion::New).claim(A, 1).claim(B, 2);
    two().live(State::Running, 2, Some(B)).is_impossible("Claimed { claim: 0b0b");
    two().settle(A, Verdict::Release, Settled::Done).is_impossible("can only have been Running");
    // Possible if the first lease was rescued in between.
    test_history()
        .insert(Insertion::New)
        .claim(A, 1)
        .rescue(1)
        .claim(B, 2)
        .live(State::Running, 2, Some(B))
        .is_possible();
    test_history()
        .insert(Insertion::New)
        .rescue(1)
        .claim(A, 1)
        .claim(B, 2)
        .is_impossible("can only have been Running");
    test_history()
        .insert(Insertion::New)
        .claim(A, 1)
        .rescue(0)
        .claim(B, 2)
        .is_impossible("can only have been Running");
}

#[test]
fn concurrent_operations_are_possible_in_either_order() {
    let release = settle_request(A, Verdict::Release);
    let test_history = test_history().insert(Insertion::New).claim(A, 1);
    let number = test_history.ask(&release);
    let test_history = test_history.claim(B, 1);
    test_history.answer::<SettleRequest>(number, &Ok(vec![Ok(Settled::Done)]));
    test_history.live(State::Running, 1, Some(B)).is_possible();
}

#[test]
fn change_of_a_finished_job_is_impossible() {
    let completed =
        || test_history().insert(Insertion::New).claim(A, 1).settle(A, completion(b"1"), Settled::Done);
    completed().live(State::Ready, 1, None).is_impossible("can only have been Ended");
    completed().claim(B, 2).is_impossible("can only have been Ended");
    completed().cancel(CancelReply::Cancelled).is_impossible("can only have been Ended");
    completed().rescue(5).claim(B, 2).is_impossible("can only have been Ended");
    test_history()
        .insert(Insertion::New)
        .cancel(CancelReply::Cancelled)
        .claim(A, 1)
        .is_impossible("Cancelled");
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
        .ended(State::Completed, 2, Some(B), Some(b"2"))
        .is_impossible("answer: Done");
    let completed =
        || test_history().insert(Insertion::New).claim(A, 1).settle(A, completion(b"1"), Settled::Done);
    completed().ended(State::Completed, 1, Some(A), Some(b"2")).is_impossible("did not send");
    completed().ended(State::Completed, 1, Some(B), Some(b"1")).is_impossible("can only have been Ended");
    completed()
        .settle(A, Verdict::Bury { error: String::new() }, Settled::Done)
        .is_impossible("answer: Done");
}

#[test]
fn settle_of_unknown_outcome_can_be_repeated() {
    let unknown = || {
        let lost = settle_request(A, completion(b"1"));
        test_history().insert(Insertion::New).claim(A, 1).does(&lost, &error(ErrorKind::UnknownOutcome))
    };
    unknown().live(State::Running, 1, Some(A)).is_possible();
    unknown().ended(State::Completed, 1, Some(A), Some(b"1")).is_possible();
    let again = || unknown().settle(A, completion(b"1"), Settled::Done);
    again().ended(State::Completed, 1, Some(A), Some(b"1")).is_possible();
    again().live(State::Running, 1, Some(A)).is_impossible("can only have been Ended");
    // Another claim is possible only after a rescue.
    unknown().claim(B, 2).is_impossible("can only have been");
    unknown().rescue(1).claim(B, 2).live(State::Running, 2, Some(B)).is_possible();
}

#[test]
fn claim_of_unknown_outcome_may_hold_the_job() {
    let unknown =
        || test_history().insert(Insertion::New).does(&claim_request(A), &error(ErrorKind::UnknownOutcome));
    unknown().live(State::Ready, 0, None).is_possible();
    unknown().live(State::Running, 1, Some(A)).is_possible();
    unknown().live(State::Running, 1, Some(B)).is_impossible("can only have been");
    unknown()
        .settle(A, completion(b"1"), Settled::Done)
        .ended(State::Completed, 1, Some(A), Some(b"1"))
        .is_possible();
    unknown().claim(B, 1).live(State::Running, 1, Some(B)).is_possible();
    // No later operation names the claim: it was charged an attempt only if a rescue followed.
    unknown().claim(B, 2).is_impossible("can only have been");
    unknown().rescue(1).claim(B, 2).live(State::Running, 2, Some(B)).is_possible();
    test_history()
        .insert(Insertion::New)
        .rescue(1)
        .claim(B, 2)
        .is_impossible("can only have been Waiting { attempt: 0 }");
}

#[test]
fn list_of_leases_contradicting_a_claim_is_impossible() {
    let held = |jobs| (LeasesRequest::new(WORKER, A), Ok(jobs));
    let (request, reply) = held(vec![job(A, 1)]);
    let unknown =
        || test_history().insert(Insertion::New).does(&claim_request(A), &error(ErrorKind::UnknownOutcome));
    unknown().does(&request, &reply).live(State::Ready, 0, None).is_impossible("can only have been Running");
    let (request, reply) = held(Vec::new());
    let claimed = test_history().insert(Insertion::New).claim(A, 1).does(&request, &reply);
    claimed.live(State::Running, 1, Some(A)).is_impossible("Leased");
}

#[test]
fn attempts_are_charged_once_and_limited() {
    let failed = || Verdict::Retry { error: String::new(), delay: Duration::ZERO };
    let twice = || {
        let first = test_history().insert(Insertion::New).claim(A, 1).settle(A, failed(), Settled::Done);
        first.claim(B, 2).settle(B, failed(), Settled::Done)
    };
    twice().live(State::Retrying, 2, None).is_possible();
    twice().live(State::Retrying, 1, None).is_impossible("can only have been Waiting { attempt: 2 }");
    twice().claim(A, 3).settle(A, failed(), Settled::Done).ended(State::Dead, 3, Some(A), None).is_possible();
    twice()
        .claim(A, 3)
        .settle(A, failed(), Settled::Done)
        .claim(B, 4)
        .is_impossible("can only have been Ended");
    twice().claim(A, 3).rescue(1).ended(State::Dead, 3, None, None).is_possible();
    test_history()
        .insert(Insertion::New)
        .claim(A, 2)
        .is_impossible("can only have been Waiting { attempt: 0 }");
}

#[test]
fn stale_read_is_impossible() {
    let inserted = || test_history().insert(Insertion::New);
    let ready = Some(Found { state: State::Ready, attempt: 0 });
    inserted().read(ready).live(State::Ready, 0, None).is_possible();
    inserted().read(None).live(State::Ready, 0, None).is_impossible("Read(None)");
    let read_twice = inserted().read(ready).read(ready);
    let last = read_twice.history.with_log(|log| log.operations[2].answered().cloned());
    assert_eq!(last, Some(Answered::Read(Vec::new())), "the second read found nothing new");
    let stale = inserted().read(ready).cancel(CancelReply::Cancelled).read(ready);
    stale.ended(State::Cancelled, 0, None, None).is_impossible("can only have been Ended");
}

#[test]
fn pruned_job_may_be_missing_if_finished() {
    let mut reply = MaintainReply::default();
    reply.pruned = 1;
    let pruned = |test_history: TestHistory| {
        test_history.does(&MaintainRequest::prune(Default::default()), &Ok(reply.clone()))
    };
    pruned(test_history().insert(Insertion::New).cancel(CancelReply::Cancelled)).is_possible();
    pruned(test_history().insert(Insertion::New)).is_impossible("can only have been Waiting");
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
    many.live(State::Ready, 0, None).is_possible();
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
        test_history.live(State::Running, 1, Some(A))
    };
    history_of(order::MAX_OPEN).is_possible();
    history_of(order::MAX_OPEN + 1).is_impossible("cannot be checked");
}
