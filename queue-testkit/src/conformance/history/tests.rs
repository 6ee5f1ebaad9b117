//! Histories that can have been, and others that cannot.

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

/// Operations of one process, each after the one before unless they are asked and answered apart.
struct Tale {
    history: Arc<History>,
    sink: Arc<dyn Sink>,
    asked: Cell<u64>,
    stored: Stored,
}

fn error<T>(kind: ErrorKind) -> queue_core::Result<T> {
    Err(Error::new(kind, "test the history", "it is wanted"))
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

impl Tale {
    fn ask(&self, request: &impl Request) -> u64 {
        self.write(Event::Asked(self.asked.get() + 1, request.asked()))
    }

    /// A new number, with the event that has it.
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

    /// A future that was dropped.
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
        let fate = Ok(vec![Submitted::new(JOB, insertion)]);
        self.does(&InsertRequest::new(vec![vec![spec()]]), &Ok(InsertReply::new(vec![fate])))
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

    /// What is wrong with it, or nothing.
    fn verdict(&self) -> String {
        let (asked, answered) = (self.history.moment(), self.history.moment());
        let checked = self.history.check(&Rows { asked, answered, stored: &self.stored });
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[track_caller]
    fn can_be(self) {
        assert_eq!(self.verdict(), "");
    }

    #[track_caller]
    fn cannot_be(self, why: &str) {
        let verdict = self.verdict();
        assert!(verdict.contains(why), "`{why}` is not in: {verdict}");
    }
}

fn tale() -> Tale {
    let history = Arc::<History>::default();
    let sink = history.process("the case");
    Tale { history, sink, asked: Cell::new(0), stored: Stored::default() }
}

#[test]
fn a_life_is_possible() {
    tale()
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
        .can_be();
}

#[test]
fn an_acknowledged_job_that_is_gone_is_lost() {
    tale().insert(Insertion::New).cannot_be("can only have been Waiting { attempt: 0 }");
    tale().insert(Insertion::New).claim(A, 1).cannot_be("can only have been Running");
}

#[test]
fn a_job_that_was_never_enqueued_is_a_phantom() {
    tale().live(State::Ready, 0, None).cannot_be("can only have been Absent");
    tale().claim(A, 1).live(State::Running, 1, Some(A)).cannot_be("can only have been Absent");
}

#[test]
fn an_unacknowledged_write_is_unknown_and_never_absent() {
    for kind in [None, Some(ErrorKind::UnknownOutcome)] {
        let tale = || match kind {
            Some(kind) => tale().insert_fails(kind),
            None => tale().drop_midway(&InsertRequest::new(vec![vec![spec()]])),
        };
        tale().can_be();
        tale().live(State::Ready, 0, None).can_be();
        tale().insert(Insertion::New).live(State::Ready, 0, None).can_be();
        tale().insert(Insertion::Known).live(State::Ready, 0, None).can_be();
        // It may be late, but it is one job.
        tale().cancel(CancelReply::NotFound).live(State::Ready, 0, None).can_be();
        tale().insert(Insertion::New).cannot_be("Read(None)");
    }
}

#[test]
fn an_error_is_no_excuse_for_what_was_done_all_the_same() {
    for kind in [ErrorKind::Busy, ErrorKind::Unavailable, ErrorKind::Invalid, ErrorKind::Conflict] {
        tale().insert_fails(kind).can_be();
        tale().insert_fails(kind).live(State::Ready, 0, None).cannot_be("can only have been Absent");
        let completed = settle_request(A, completion(b"1"));
        tale()
            .insert(Insertion::New)
            .claim(A, 1)
            .does(&completed, &error(kind))
            .ended(State::Completed, 1, Some(A), Some(b"1"))
            .cannot_be("can only have been Running");
    }
}

#[test]
fn two_live_leases_are_impossible() {
    let two = || tale().insert(Insertion::New).claim(A, 1).claim(B, 2);
    two().live(State::Running, 2, Some(B)).cannot_be("Claimed { claim: 0b0b");
    two().settle(A, Verdict::Release, Settled::Done).cannot_be("can only have been Running");
    // Unless the first was taken back between them.
    tale().insert(Insertion::New).claim(A, 1).rescue(1).claim(B, 2).live(State::Running, 2, Some(B)).can_be();
    tale().insert(Insertion::New).rescue(1).claim(A, 1).claim(B, 2).cannot_be("can only have been Running");
    tale().insert(Insertion::New).claim(A, 1).rescue(0).claim(B, 2).cannot_be("can only have been Running");
}

#[test]
fn operations_at_the_same_time_may_have_been_in_either_order() {
    let release = settle_request(A, Verdict::Release);
    let tale = tale().insert(Insertion::New).claim(A, 1);
    let number = tale.ask(&release);
    let tale = tale.claim(B, 1);
    tale.answer::<SettleRequest>(number, &Ok(vec![Ok(Settled::Done)]));
    tale.live(State::Running, 1, Some(B)).can_be();
}

#[test]
fn what_has_ended_stays_so() {
    let completed = || tale().insert(Insertion::New).claim(A, 1).settle(A, completion(b"1"), Settled::Done);
    completed().live(State::Ready, 1, None).cannot_be("can only have been Ended");
    completed().claim(B, 2).cannot_be("can only have been Ended");
    completed().cancel(CancelReply::Cancelled).cannot_be("can only have been Ended");
    completed().rescue(5).claim(B, 2).cannot_be("can only have been Ended");
    tale().insert(Insertion::New).cancel(CancelReply::Cancelled).claim(A, 1).cannot_be("Cancelled");
}

#[test]
fn a_job_is_completed_once() {
    tale()
        .insert(Insertion::New)
        .claim(A, 1)
        .rescue(1)
        .claim(B, 2)
        .settle(B, completion(b"2"), Settled::Done)
        .settle(A, completion(b"1"), Settled::Done)
        .ended(State::Completed, 2, Some(B), Some(b"2"))
        .cannot_be("answer: Done");
    let completed = || tale().insert(Insertion::New).claim(A, 1).settle(A, completion(b"1"), Settled::Done);
    completed().ended(State::Completed, 1, Some(A), Some(b"2")).cannot_be("did not bring");
    completed().ended(State::Completed, 1, Some(B), Some(b"1")).cannot_be("can only have been Ended");
    completed().settle(A, Verdict::Bury { error: String::new() }, Settled::Done).cannot_be("answer: Done");
}

#[test]
fn a_settle_of_unknown_outcome_may_be_done_again() {
    let unknown = || {
        let lost = settle_request(A, completion(b"1"));
        tale().insert(Insertion::New).claim(A, 1).does(&lost, &error(ErrorKind::UnknownOutcome))
    };
    unknown().live(State::Running, 1, Some(A)).can_be();
    unknown().ended(State::Completed, 1, Some(A), Some(b"1")).can_be();
    let again = || unknown().settle(A, completion(b"1"), Settled::Done);
    again().ended(State::Completed, 1, Some(A), Some(b"1")).can_be();
    again().live(State::Running, 1, Some(A)).cannot_be("can only have been Ended");
    // Another claim may have it only if it was taken back.
    unknown().claim(B, 2).cannot_be("can only have been");
    unknown().rescue(1).claim(B, 2).live(State::Running, 2, Some(B)).can_be();
}

#[test]
fn a_claim_of_unknown_outcome_may_have_taken_the_job() {
    let unknown = || tale().insert(Insertion::New).does(&claim_request(A), &error(ErrorKind::UnknownOutcome));
    unknown().live(State::Ready, 0, None).can_be();
    unknown().live(State::Running, 1, Some(A)).can_be();
    unknown().live(State::Running, 1, Some(B)).cannot_be("can only have been");
    unknown()
        .settle(A, completion(b"1"), Settled::Done)
        .ended(State::Completed, 1, Some(A), Some(b"1"))
        .can_be();
    unknown().claim(B, 1).live(State::Running, 1, Some(B)).can_be();
    // Not heard of again: it cost an attempt only if it was taken back.
    unknown().claim(B, 2).cannot_be("can only have been");
    unknown().rescue(1).claim(B, 2).live(State::Running, 2, Some(B)).can_be();
    tale()
        .insert(Insertion::New)
        .rescue(1)
        .claim(B, 2)
        .cannot_be("can only have been Waiting { attempt: 0 }");
}

#[test]
fn a_list_of_leases_shows_what_a_claim_holds() {
    let held = |jobs| (LeasesRequest::new(WORKER, A), Ok(jobs));
    let (request, reply) = held(vec![job(A, 1)]);
    let unknown = || tale().insert(Insertion::New).does(&claim_request(A), &error(ErrorKind::UnknownOutcome));
    unknown().does(&request, &reply).live(State::Ready, 0, None).cannot_be("can only have been Running");
    let (request, reply) = held(Vec::new());
    let claimed = tale().insert(Insertion::New).claim(A, 1).does(&request, &reply);
    claimed.live(State::Running, 1, Some(A)).cannot_be("Leased");
}

#[test]
fn attempts_are_charged_once_and_bounded() {
    let failed = || Verdict::Retry { error: String::new(), delay: Duration::ZERO };
    let twice = || {
        let first = tale().insert(Insertion::New).claim(A, 1).settle(A, failed(), Settled::Done);
        first.claim(B, 2).settle(B, failed(), Settled::Done)
    };
    twice().live(State::Retrying, 2, None).can_be();
    twice().live(State::Retrying, 1, None).cannot_be("can only have been Waiting { attempt: 2 }");
    twice().claim(A, 3).settle(A, failed(), Settled::Done).ended(State::Dead, 3, Some(A), None).can_be();
    twice().claim(A, 3).settle(A, failed(), Settled::Done).claim(B, 4).cannot_be("can only have been Ended");
    twice().claim(A, 3).rescue(1).ended(State::Dead, 3, None, None).can_be();
    tale().insert(Insertion::New).claim(A, 2).cannot_be("can only have been Waiting { attempt: 0 }");
}

#[test]
fn a_read_is_of_its_time() {
    let inserted = || tale().insert(Insertion::New);
    let ready = Some(Found { state: State::Ready, attempt: 0 });
    inserted().read(ready).live(State::Ready, 0, None).can_be();
    inserted().read(None).live(State::Ready, 0, None).cannot_be("Read(None)");
    let read_twice = inserted().read(ready).read(ready);
    let last = read_twice.history.with_log(|log| log.operations[2].answered().cloned());
    assert_eq!(last, Some(Answered::Read(Vec::new())), "the second read found nothing new");
    let stale = inserted().read(ready).cancel(CancelReply::Cancelled).read(ready);
    stale.ended(State::Cancelled, 0, None, None).cannot_be("can only have been Ended");
}

#[test]
fn what_was_pruned_is_gone() {
    let mut reply = MaintainReply::default();
    reply.pruned = 1;
    let pruned = |tale: Tale| tale.does(&MaintainRequest::prune(Default::default()), &Ok(reply.clone()));
    pruned(tale().insert(Insertion::New).cancel(CancelReply::Cancelled)).can_be();
    pruned(tale().insert(Insertion::New)).cannot_be("can only have been Waiting");
}

#[test]
fn a_job_with_many_operations_is_checked_in_time() {
    let mut many = tale().insert(Insertion::New);
    for round in 0..2000_u32 {
        let claim = ClaimId::from_bytes([u8::try_from(round % 200).unwrap(); 16]);
        let lost = settle_request(claim, Verdict::Release);
        many = many.claim(claim, 1).does(&lost, &error(ErrorKind::UnknownOutcome));
        many = many.cancel(CancelReply::Running).settle(claim, Verdict::Release, Settled::Done).rescue(1);
    }
    many.live(State::Ready, 0, None).can_be();
}

#[test]
fn too_many_operations_at_the_same_time_are_not_passed_over() {
    // All of them have found the job running, by a claim that was asked for last and answered last.
    let tale_of = |many: usize| {
        let tale = tale().insert(Insertion::New);
        let (cancel, claim) = (CancelRequest::new(vec![JOB]), claim_request(A));
        let cancels: Vec<u64> = (1..many).map(|_| tale.ask(&cancel)).collect();
        let claimed = tale.ask(&claim);
        for cancelled in cancels {
            tale.answer::<CancelRequest>(cancelled, &Ok(vec![CancelReply::Running]));
        }
        let reply = ClaimReply::new(vec![job(A, 1)], None);
        tale.answer::<ClaimRequest>(claimed, &Ok(reply));
        tale.live(State::Running, 1, Some(A))
    };
    tale_of(order::MOST_OPEN).can_be();
    tale_of(order::MOST_OPEN + 1).cannot_be("cannot be checked");
}
