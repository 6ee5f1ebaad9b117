//! A history that a test writes operation by operation.

use std::cell::Cell;

use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, ClaimedJob, Completion, InsertReply, InsertRequest,
    LiveRow, MaintainReply, MaintainRequest, OutcomeRow, RetryReply, RetryRequest, SettleRequest, Settled,
    Settlement, Verdict,
};
use queue_core::{
    Error, ErrorKind, Insertion, JobSpec, JobState, Kind, Payload, QueueName, Submitted, Timestamp, Token,
};

use super::super::request::{Request, answer};
use super::*;

/// Operations of one process, one after another unless `ask` and `answer` are called separately.
pub(super) struct TestHistory {
    pub(super) history: Arc<History>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) asked: Cell<u64>,
    pub(super) stored: Stored,
}

pub(super) fn error<T>(kind: ErrorKind) -> queue_core::Result<T> {
    Err(Error::new(kind, "test the history", "the test requests it"))
}

pub(super) fn spec() -> JobSpec {
    JobSpec::new(JOB, Kind::new("job").unwrap(), Payload::json("{}").unwrap())
        .max_retries(2)
        .priority(0)
        .timeout(Duration::from_secs(1))
        .queue(QueueName::default())
}

pub(super) fn job(claim: ClaimId, attempt: u32) -> ClaimedJob {
    ClaimedJob::new(claim, attempt, Timestamp::UNIX_EPOCH, spec())
}

pub(super) fn claim_request(claim: ClaimId) -> ClaimRequest {
    ClaimRequest::new(WORKER, claim, QueueName::default(), [Kind::new("job").unwrap()], 1)
}

pub(super) fn settle_request(claim: ClaimId, verdict: Verdict) -> SettleRequest {
    SettleRequest::new(WORKER, vec![Settlement::new(Token { job: JOB, claim }, verdict)])
}

pub(super) fn completion(result: &[u8]) -> Verdict {
    Verdict::Complete(Completion::new().result(result.to_vec()))
}

impl TestHistory {
    pub(super) fn ask(&self, request: &impl Request) -> u64 {
        self.write(Event::Asked(self.asked.get() + 1, request.asked()))
    }

    /// Writes an event and returns its number.
    pub(super) fn write(&self, event: Event) -> u64 {
        self.asked.set(self.asked.get() + 1);
        self.sink.write(event);
        self.asked.get()
    }

    pub(super) fn answer<R: Request>(&self, number: u64, reply: &queue_core::Result<R::Reply>) {
        self.sink.write(Event::Answered(number, answer::<R>(reply)));
    }

    pub(super) fn does<R: Request>(self, request: &R, reply: &queue_core::Result<R::Reply>) -> Self {
        let number = self.ask(request);
        self.answer::<R>(number, reply);
        self
    }

    /// Writes the request of a dropped future.
    pub(super) fn drop_midway(self, request: &impl Request) -> Self {
        self.ask(request);
        self
    }

    pub(super) fn read(self, found: Option<Found>) -> Self {
        let number = self.write(Event::Asked(self.asked.get() + 1, Asked::Read));
        self.sink.write(Event::Answered(number, Answered::Read(vec![(JOB, found)])));
        self
    }

    pub(super) fn insert(self, insertion: Insertion) -> Self {
        let result = Ok(vec![Submitted::new(JOB, insertion)]);
        self.does(&InsertRequest::new(vec![vec![spec()]]), &Ok(InsertReply::new(vec![result])))
    }

    pub(super) fn insert_fails(self, kind: ErrorKind) -> Self {
        self.does(&InsertRequest::new(vec![vec![spec()]]), &Ok(InsertReply::new(vec![error(kind)])))
    }

    pub(super) fn claim(self, claim: ClaimId, attempt: u32) -> Self {
        self.does(&claim_request(claim), &Ok(ClaimReply::new(vec![job(claim, attempt)], None)))
    }

    pub(super) fn settle(self, claim: ClaimId, verdict: Verdict, answer: Settled) -> Self {
        self.does(&settle_request(claim, verdict), &Ok(vec![Ok(answer)]))
    }

    pub(super) fn cancel(self, reply: CancelReply) -> Self {
        self.does(&CancelRequest::new(vec![JOB]), &Ok(vec![reply]))
    }

    pub(super) fn retry(self, reply: RetryReply) -> Self {
        self.does(&RetryRequest::new(vec![JOB]), &Ok(vec![reply]))
    }

    pub(super) fn rescue(self, rescued: u64) -> Self {
        let mut reply = MaintainReply::default();
        reply.rescued = rescued;
        self.does(&MaintainRequest::rescue(9), &Ok(reply))
    }

    pub(super) fn live(mut self, state: JobState, attempt: u32, claim: Option<ClaimId>) -> Self {
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

    pub(super) fn ended(
        mut self,
        state: JobState,
        attempt: u32,
        claim: Option<ClaimId>,
        result: Option<&[u8]>,
    ) -> Self {
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
    pub(super) fn failure(&self) -> String {
        let (asked, answered) = (self.history.moment(), self.history.moment());
        let checked = self.history.check(&Rows { asked, answered, stored: &self.stored });
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn expect_possible(self) {
        assert_eq!(self.failure(), "");
    }

    #[track_caller]
    pub(super) fn expect_impossible(self, why: &str) {
        let failure = self.failure();
        assert!(failure.contains(why), "`{why}` is not in: {failure}");
    }
}

pub(super) fn test_history() -> TestHistory {
    let history = Arc::<History>::default();
    let sink = history.process("the case");
    TestHistory { history, sink, asked: Cell::new(0), stored: Stored::default() }
}
