//! Histories of several processes, some of which were killed.

use super::super::event::{
    CancelAnswer, Claim, Ending, Lease, LeaseEnd, Leased, Micros, NewJob, SettleAnswer,
};
use super::{A, B, JOB, WORKER};
use super::{OutcomeRow, Stored, *};

const OTHER: JobId = JobId::from_bytes([9; 16]);
const FINISHED: CancelAnswer = CancelAnswer::Finished(JobState::Completed);
/// Number of retries of the jobs that these processes insert.
const RETRIES: u16 = 3;

/// The lines of one process. Each operation is requested at a given second and replied to at the
/// next.
#[derive(Default)]
struct Lines {
    lines: Vec<Line>,
    number: u64,
}

fn process() -> Lines {
    Lines::default()
}

impl Lines {
    fn ask(mut self, at: u64, asked: Asked) -> Self {
        self.number += 1;
        let number = self.number;
        self.line(at, &Event::Asked(number, asked))
    }

    fn line(mut self, at: u64, event: &Event) -> Self {
        let text = serde_json::to_string(event).unwrap();
        self.lines.push(Line { at: Duration::from_secs(at), text });
        self
    }

    fn answer(self, at: u64, answered: Answered) -> Self {
        let number = self.number;
        self.line(at, &Event::Answered(number, answered))
    }

    fn sends(self, at: u64, jobs: &[JobId]) -> Self {
        let new = |id: &JobId| NewJob { id: *id, attempts: u32::from(RETRIES) + 1, has_key: false };
        self.ask(at, Asked::Insert { batches: vec![jobs.iter().map(new).collect()], claim: None })
    }

    fn inserts(self, at: u64, jobs: &[JobId]) -> Self {
        let batches = vec![Ok(vec![Some(true); jobs.len()])];
        self.sends(at, jobs).answer(at + 1, Answered::Inserted { batches, claim: None })
    }

    fn claims(self, at: u64, claim: ClaimId, attempt: u32) -> Self {
        self.sends_claim(at, claim, None).gets(at + 1, attempt, Duration::from_secs(60))
    }

    fn sends_claim(self, at: u64, claim: ClaimId, now: Option<Micros>) -> Self {
        let claim = Claim { claim, worker: WORKER, now, grace: Duration::from_secs(2) };
        self.ask(at, Asked::Claim(claim))
    }

    fn gets(self, at: u64, attempt: u32, timeout: Duration) -> Self {
        self.answer(at, Answered::Claimed(vec![Leased { job: JOB, attempt, timeout }]))
    }

    fn sends_end(self, at: u64, claim: ClaimId, ending: Ending) -> Self {
        let lease = Lease { job: JOB, claim };
        self.ask(at, Asked::Settle(vec![LeaseEnd { lease, ending, follow_ups: Vec::new() }]))
    }

    fn ends(self, at: u64, claim: ClaimId, ending: Ending, answer: SettleAnswer) -> Self {
        self.sends_end(at, claim, ending).answer(at + 1, Answered::Settled(vec![Ok(answer)]))
    }

    fn cancels(self, at: u64, answer: CancelAnswer) -> Self {
        self.ask(at, Asked::Cancel(vec![JOB])).answer(at + 1, Answered::Cancelled(vec![answer]))
    }

    /// Registers the worker with an expiry of 15 seconds.
    fn registers(self, at: u64, now: Option<Micros>) -> Self {
        let expiry = Duration::from_secs(15);
        let asked = Asked::Register { worker: WORKER, now, expiry };
        self.ask(at, asked).answer(at + 1, Answered::Done)
    }

    fn heartbeats(self, at: u64, now: Option<Micros>) -> Self {
        self.ask(at, Asked::Heartbeat { worker: WORKER, now }).answer(at + 1, Answered::Done)
    }

    fn rescues(self, at: u64, now: Option<Micros>) -> Self {
        let asked = Asked::Maintain { now, rescues: true, prunes: false };
        self.ask(at, asked).answer(at + 1, Answered::Maintained { rescued: 1, pruned: 0 })
    }

    fn starts(self, at: u64, attempt: u32) -> Self {
        self.line(at, &Event::Started { job: JOB, attempt })
    }
}

fn outcome(state: JobState, claim: Option<ClaimId>, attempt: u32, result: Option<&[u8]>) -> OutcomeRow {
    let result = result.map(<[u8]>::to_vec);
    let row = OutcomeRow::new(JOB, state, Timestamp::UNIX_EPOCH).max_retries(RETRIES);
    row.attempt(attempt).claim(claim).result(result)
}

fn live(state: JobState, attempt: u32) -> Vec<LiveRow> {
    let row = LiveRow::new(JOB, QueueName::default(), state, Timestamp::UNIX_EPOCH);
    vec![row.priority(0).attempt(attempt).max_retries(RETRIES)]
}

fn check_rows(
    processes: Vec<Lines>,
    live: Vec<LiveRow>,
    outcomes: Vec<OutcomeRow>,
    check: impl Fn(&History, &Rows<'_>) -> CaseResult,
) -> Result<(), String> {
    let history = History::default();
    for (number, process) in processes.into_iter().enumerate() {
        history.add(&format!("process {number}"), &process.lines);
    }
    let ids = live.iter().map(|row| row.id).chain(outcomes.iter().map(|row| row.id)).collect();
    let stored = Stored::new(ids, live, outcomes, Vec::new());
    let (asked, answered) = (Duration::from_secs(1000), Duration::from_secs(1001));
    check(&history, &Rows { asked, answered, stored: &stored }).map_err(|error| error.to_string())
}

/// Checks after a drain.
fn check(processes: Vec<Lines>, outcomes: Vec<OutcomeRow>) -> Result<(), String> {
    check_rows(processes, Vec::new(), outcomes, History::check_drained)
}

#[track_caller]
fn is_found(found: Result<(), String>, part: &str) {
    let error = found.unwrap_err();
    assert!(error.contains(part), "`{part}` is not in: {error}");
}

fn completes(result: &[u8]) -> Ending {
    Ending::Complete(Some(request::hash(result)))
}

fn completed_by(claim: ClaimId, attempt: u32) -> Vec<OutcomeRow> {
    vec![outcome(JobState::Completed, Some(claim), attempt, Some(b"r"))]
}

fn claimed_job() -> Lines {
    process().inserts(0, &[JOB]).claims(10, A, 1).starts(12, 1)
}

#[test]
fn retried_job_is_possible() {
    let process = claimed_job().ends(20, A, Ending::Retry, SettleAnswer::Done).claims(30, B, 2).starts(32, 2);
    let process = process.ends(40, B, completes(b"r"), SettleAnswer::Done).cancels(50, FINISHED);
    assert_eq!(check(vec![process], completed_by(B, 2)), Ok(()));
}

#[test]
fn unanswered_batch_stored_in_part_is_found() {
    let sent = || process().sends(0, &[JOB, OTHER]);
    assert_eq!(check(vec![sent()], vec![]), Ok(()));
    let both = |sent: Lines| {
        let answers = vec![CancelAnswer::Cancelled; 2];
        let cancels =
            process().ask(5, Asked::Cancel(vec![JOB, OTHER])).answer(6, Answered::Cancelled(answers));
        let ended = [JOB, OTHER].map(|id| {
            let mut cancelled = outcome(JobState::Cancelled, None, 0, None);
            cancelled.id = id;
            cancelled
        });
        check(vec![sent, cancels], ended.to_vec())
    };
    assert_eq!(both(sent()), Ok(()));
    assert_eq!(both(sent().answer(9, Answered::Failed(Failure::UnknownOutcome))), Ok(()));
    is_found(both(sent().answer(1, Answered::Failed(Failure::Refused))), "can only have been Absent");
    let one = || vec![outcome(JobState::Cancelled, None, 0, None)];
    let cancels = || process().cancels(9, CancelAnswer::Cancelled);
    is_found(check(vec![sent(), cancels()], one()), "Q5 batch-atomic");
    // Another insert may have stored the job that exists.
    assert_eq!(check(vec![sent(), process().inserts(3, &[JOB]), cancels()], one()), Ok(()));
}

#[test]
fn unanswered_settle_may_be_executed_or_not() {
    let cut = || claimed_job().sends_end(20, A, completes(b"r"));
    assert_eq!(check(vec![cut()], completed_by(A, 1)), Ok(()));
    let rescuer =
        process().rescues(25, None).claims(30, B, 2).ends(40, B, completes(b"r"), SettleAnswer::Done);
    assert_eq!(check(vec![cut(), rescuer], completed_by(B, 2)), Ok(()));
}

#[test]
fn missing_or_unfinished_acknowledged_job_is_found() {
    let inserts = || process().inserts(0, &[JOB]);
    is_found(check(vec![inserts()], vec![]), "can only have been Waiting");
    let left = |check: fn(&History, &Rows<'_>) -> CaseResult| {
        check_rows(vec![inserts()], live(JobState::Ready, 0), Vec::new(), check)
    };
    is_found(left(History::check_drained), "Q1 no-lost-ack: these jobs have not ended");
    assert_eq!(left(History::check), Ok(()));
}

#[test]
fn job_that_no_process_enqueued_is_found() {
    is_found(check(vec![], vec![outcome(JobState::Dead, None, 4, None)]), "can only have been Absent");
    let early = process().claims(0, A, 1).ends(2, A, completes(b"r"), SettleAnswer::Done);
    is_found(check(vec![early.inserts(8, &[JOB])], completed_by(A, 1)), "can only have been Absent");
}

/// Checks a history in which a second process rescues the job at this second, and completes it.
fn rescued(holder: Lines, rescue: Option<u64>, now: Option<Micros>) -> Result<(), String> {
    let rescuer = rescue.into_iter().fold(process(), |process, at| process.rescues(at, now));
    let rescuer = rescuer.claims(40, B, 2).ends(50, B, completes(b"r"), SettleAnswer::Done);
    check(vec![holder, rescuer], completed_by(B, 2))
}

fn registered(now: Option<Micros>) -> Lines {
    let process = process().registers(5, now).inserts(7, &[JOB]);
    process.sends_claim(10, A, now).gets(11, 1, Duration::from_secs(60))
}

#[test]
fn second_lease_without_a_rescue_is_found() {
    is_found(rescued(claimed_job(), None, None), "can only have been Running");
    assert_eq!(rescued(claimed_job(), Some(20), None), Ok(()));
}

#[test]
fn rescue_from_a_live_worker_is_found() {
    let living = || registered(None);
    is_found(rescued(living(), Some(15), None), "can only have been Running");
    assert_eq!(rescued(living(), Some(25), None), Ok(()));
    is_found(rescued(living().heartbeats(20, None), Some(25), None), "can only have been Running");
    assert_eq!(rescued(living().heartbeats(20, None), Some(35), None), Ok(()));
    // A request of a lost worker cannot succeed.
    is_found(rescued(living().heartbeats(60, None), Some(25), None), "can only have been Running");
    is_found(
        rescued(living().ends(45, A, Ending::Release, SettleAnswer::Done), Some(25), None),
        "answer: Done",
    );
}

/// The rescue may still take effect, but not before the worker has expired.
#[test]
fn rescue_without_answer_from_a_live_worker_is_found() {
    let unanswered = || process().ask(6, Asked::Maintain { now: None, rescues: true, prunes: false });
    let history = |at, answer| {
        let holder = registered(None).heartbeats(20, None);
        let other = process().claims(at, B, 2).ends(50, B, completes(b"r"), answer);
        check(vec![unanswered(), holder, other], completed_by(B, 2))
    };
    is_found(history(21, SettleAnswer::Done), "can only have been Running");
    assert_eq!(history(40, SettleAnswer::Done), Ok(()));
}

/// It can only have taken another lease.
#[test]
fn rescue_that_ended_before_the_claim_is_found() {
    let holder = process().registers(5, None).inserts(7, &[JOB]).sends_claim(30, A, None);
    let holder = holder.gets(31, 1, Duration::from_secs(60));
    is_found(rescued(holder, Some(25), None), "can only have been Running");
}

#[test]
fn batch_that_two_killed_processes_sent_is_stored_whole() {
    let killed = || process().sends(5, &[JOB, OTHER]);
    let claimer =
        process().registers(5, None).claims(10, A, 1).ends(12, A, completes(b"r"), SettleAnswer::Done);
    is_found(check(vec![killed(), killed(), claimer], completed_by(A, 1)), "of a batch of 2");
}

#[test]
fn rescue_before_the_stated_expiry_is_found() {
    let second =
        |second| Some(Micros::from(Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(second))));
    let at = |time| rescued(registered(second(100)), Some(15), second(time));
    is_found(at(114), "can only have been Running");
    assert_eq!(at(115), Ok(()));
    let heartbeats =
        |time| rescued(registered(second(100)).heartbeats(13, second(107)), Some(15), second(time));
    is_found(heartbeats(121), "can only have been Running");
    assert_eq!(heartbeats(122), Ok(()));
}

#[test]
fn rescue_before_deadline_of_live_worker_is_found() {
    let short = Duration::from_secs(3);
    let overdue = |at| {
        let holder = process().registers(5, None).inserts(7, &[JOB]).sends_claim(10, A, None);
        rescued(holder.gets(11, 1, short).heartbeats(12, None), Some(at), None)
    };
    is_found(overdue(13), "can only have been Running");
    assert_eq!(overdue(15), Ok(()));
}

#[test]
fn lease_lost_without_a_reason_is_found() {
    let lost = |holder: Lines, other: Lines| {
        let holder = holder.ends(20, A, Ending::Bury, SettleAnswer::LeaseLost);
        check_rows(vec![holder, other], live(JobState::Ready, 1), Vec::new(), History::check)
    };
    is_found(lost(claimed_job(), process()), "answer: LeaseLost");
    assert_eq!(lost(claimed_job(), process().rescues(15, None)), Ok(()));
    assert_eq!(lost(claimed_job().sends_end(14, A, Ending::Retry), process()), Ok(()));
}

#[test]
fn outcome_by_another_claim_is_found() {
    let done = || claimed_job().ends(20, A, completes(b"r"), SettleAnswer::Done);
    assert_eq!(check(vec![done()], completed_by(A, 1)), Ok(()));
    let other_result = vec![outcome(JobState::Completed, Some(A), 1, Some(b"other"))];
    is_found(check(vec![done()], other_result), "did not send");
    let dead = vec![outcome(JobState::Dead, Some(A), 1, None)];
    is_found(check(vec![done()], dead), "can only have been Ended");
    is_found(check(vec![done()], completed_by(B, 1)), "can only have been Ended");
    let only_inserted = process().inserts(0, &[JOB]);
    is_found(check(vec![only_inserted], completed_by(A, 1)), "can only have been Waiting");
    is_found(check(vec![done()], completed_by(A, 2)), "can only have been Ended");
    is_found(check(vec![claimed_job()], completed_by(A, 1)), "can only have been Running");
    let early = vec![outcome(JobState::Dead, None, 1, None)];
    is_found(check(vec![claimed_job().rescues(15, None)], early), "attempt: 1");
}

#[test]
fn start_without_a_claim_is_found() {
    let twice = claimed_job().starts(13, 1).ends(20, A, completes(b"r"), SettleAnswer::Done);
    let expected =
        format!("Q3 single-live-lease: attempt 1 of job {JOB} started 2 times, but was claimed 1 times");
    is_found(check(vec![twice], completed_by(A, 1)), &expected);
}

#[test]
fn wrong_reply_to_a_cancel_is_found() {
    let inserts = || process().inserts(0, &[JOB]);
    let cancelled = || vec![outcome(JobState::Cancelled, None, 0, None)];
    assert_eq!(check(vec![inserts().cancels(5, CancelAnswer::Cancelled)], cancelled()), Ok(()));
    is_found(check(vec![inserts().cancels(5, CancelAnswer::Running)], cancelled()), "Cancelled(Running)");
    is_found(check(vec![inserts()], cancelled()), "can only have been Waiting");
    let runs = inserts().cancels(5, CancelAnswer::Cancelled).claims(10, A, 1);
    let runs = runs.ends(20, A, completes(b"r"), SettleAnswer::Done);
    is_found(check(vec![runs], completed_by(A, 1)), "can only have been Ended { state: Cancelled");
    let finished = inserts().cancels(5, FINISHED).claims(10, A, 1);
    let finished = finished.ends(20, A, completes(b"r"), SettleAnswer::Done);
    is_found(check(vec![finished], completed_by(A, 1)), "Cancelled(Finished(Completed))");
}

#[test]
fn cancel_that_names_a_wrong_outcome_is_found() {
    let done = claimed_job().ends(20, A, completes(b"r"), SettleAnswer::Done);
    let done = done.cancels(30, CancelAnswer::Finished(JobState::Cancelled));
    is_found(check(vec![done], completed_by(A, 1)), "Cancelled(Finished(Cancelled))");
}

#[test]
fn settle_after_cancel_that_met_finished_is_found() {
    let checked = |processes: Vec<Lines>| check(processes, completed_by(A, 1));
    let later = claimed_job().cancels(20, FINISHED).ends(30, A, completes(b"r"), SettleAnswer::Done);
    is_found(checked(vec![later]), "Cancelled(Finished(Completed))");
    let repeated = claimed_job().sends_end(15, A, completes(b"r")).cancels(20, FINISHED);
    assert_eq!(checked(vec![repeated.ends(30, A, completes(b"r"), SettleAnswer::Done)]), Ok(()));
    let at_once = claimed_job().ends(20, A, completes(b"r"), SettleAnswer::Done);
    assert_eq!(checked(vec![at_once, process().cancels(20, FINISHED)]), Ok(()));
}

#[test]
fn not_found_for_an_acknowledged_job_is_found() {
    let missed = |inserted: Lines, at: u64| {
        let works = process().claims(10, A, 1).ends(20, A, completes(b"r"), SettleAnswer::Done);
        check(vec![inserted, works, process().cancels(at, CancelAnswer::NotFound)], completed_by(A, 1))
    };
    let inserted = || process().inserts(0, &[JOB]);
    is_found(missed(inserted(), 2), "Cancelled(NotFound)");
    assert_eq!(missed(inserted(), 0), Ok(()));
    assert_eq!(missed(process().sends(0, &[JOB]), 5), Ok(()));
    is_found(missed(process().sends(0, &[JOB]), 30), "Cancelled(NotFound)");
}

#[test]
fn claims_of_many_killed_processes_are_checked_quickly() {
    const ATTEMPTS: u32 = 1001;
    let new = NewJob { id: JOB, attempts: ATTEMPTS, has_key: false };
    let inserted = Answered::Inserted { batches: vec![Ok(vec![Some(true)])], claim: None };
    let insert = Asked::Insert { batches: vec![vec![new]], claim: None };
    let mut processes = vec![process().ask(0, insert).answer(1, inserted)];
    let mut worker = process();
    for round in 0..100_u8 {
        let (at, claim) = (10 + u64::from(round) * 5, ClaimId::from_bytes([round; 16]));
        processes.push(process().sends_claim(at, ClaimId::from_bytes([round + 100; 16]), None));
        let attempt = u32::from(round) + 1;
        worker = worker.claims(at, claim, attempt).ends(at + 2, claim, Ending::Retry, SettleAnswer::Done);
        worker = worker.rescues(at + 3, None);
    }
    processes.push(worker);
    assert_eq!(check_rows(processes, live(JobState::Ready, 100), Vec::new(), History::check), Ok(()));
}
