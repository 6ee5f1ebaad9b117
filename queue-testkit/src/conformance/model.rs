//! A second implementation of the contract, as simple as possible: vectors and linear searches. The
//! replies of a backend to random operations are compared with those of this model.

mod claiming;
mod compare;
mod driver;
mod operation;
mod settling;
mod tally;
mod upkeep;

use std::collections::BTreeSet;
use std::time::Duration;

use queue_core::backend::{AttemptError, CancelReply, IfRunning, RetryReply, retries_from};
use queue_core::{ClaimId, JobId, JobSpec, JobState, Progress, QueueName, Timestamp, Token, WorkerId};

pub(crate) use driver::agree_on_random_operations;
pub(crate) use operation::Mixture;
pub(crate) use tally::Rare;

/// The expected state of a storage.
#[derive(Debug, Default)]
struct Model {
    jobs: Vec<Job>,
    workers: Vec<Worker>,
    paused: BTreeSet<QueueName>,
}

#[derive(Debug)]
struct Job {
    spec: JobSpec,
    created_at: Timestamp,
    /// A waiting job that is due may be `ready` in the backend, because any worker may have
    /// promoted it.
    state: JobState,
    run_at: Timestamp,
    attempt: u32,
    /// That of the job, or more after a retry by hand.
    max_retries: u16,
    lease: Option<Lease>,
    /// A cancel has signalled the job. Kept until the job is finished.
    cancel_wanted: bool,
    /// The claim whose settle finished the job.
    ended_by: Option<ClaimId>,
    finished_at: Option<Timestamp>,
    result: Option<Vec<u8>>,
    reason: Reason,
    errors: Vec<AttemptError>,
}

#[derive(Debug)]
struct Lease {
    claim: ClaimId,
    worker: WorkerId,
    deadline: Timestamp,
    progress: Option<Progress>,
}

/// The expected reason of a finished job.
#[derive(Debug, PartialEq, Eq)]
enum Reason {
    None,
    Text(String),
    /// The backend chooses the text.
    Any,
}

/// The text of an error that the backend chooses.
const ANY_TEXT: &str = "*";

#[derive(Debug)]
struct Worker {
    id: WorkerId,
    state: WorkerState,
    expires_at: Timestamp,
    expiry: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum WorkerState {
    Registered,
    Lost,
    Retired,
}

impl Job {
    fn max_attempts(&self) -> u32 {
        u32::from(self.max_retries) + 1
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state, JobState::Scheduled | JobState::Retrying)
    }

    fn can_be_claimed(&self, now: Timestamp) -> bool {
        (self.state == JobState::Ready || self.is_waiting()) && self.run_at <= now
    }

    /// Records the error of the attempt whose lease ends.
    fn fail(&mut self, now: Timestamp, error: &str, ran_for: Option<Duration>) {
        let worker = self.lease.as_ref().map(|lease| lease.worker);
        let error = AttemptError::new(self.attempt, now, error.to_owned());
        self.errors.push(error.duration(ran_for).worker(worker));
    }

    fn finish(&mut self, state: JobState, now: Timestamp, ended_by: Option<ClaimId>, reason: Reason) {
        self.state = state;
        self.finished_at = Some(now);
        self.ended_by = ended_by;
        self.reason = reason;
        self.lease = None;
    }
}

/// The reason why a batch was refused.
#[derive(Debug, PartialEq, Eq)]
struct Conflict;

impl Model {
    fn job(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.spec.id == id)
    }

    /// The tokens of all running jobs.
    fn live_tokens(&self) -> Vec<Token> {
        let token = |job: &Job| Some(Token { job: job.spec.id, claim: job.lease.as_ref()?.claim });
        self.jobs.iter().filter_map(token).collect()
    }

    /// All finished jobs.
    fn finished(&self) -> Vec<JobId> {
        let finished = self.jobs.iter().filter(|job| job.state.is_finished());
        finished.map(|job| job.spec.id).collect()
    }

    /// The worker that holds this lease.
    fn holder(&self, token: Token) -> Option<WorkerId> {
        let lease = self.jobs.iter().find(|job| job.spec.id == token.job)?.lease.as_ref()?;
        (lease.claim == token.claim).then_some(lease.worker)
    }

    fn state(&self, id: JobId) -> Option<JobState> {
        self.jobs.iter().find(|job| job.spec.id == id).map(|job| job.state)
    }

    /// Returns whether the batch was new; otherwise all of it was known.
    fn insert(&mut self, now: Timestamp, batch: &[JobSpec]) -> Result<bool, Conflict> {
        let stored = |spec: &JobSpec| self.jobs.iter().find(|job| job.spec.id == spec.id);
        let known = batch.iter().filter_map(|spec| Some((spec, stored(spec)?)));
        let (mut many, mut same) = (0, true);
        for (spec, job) in known {
            many += 1;
            same &= *spec == job.spec;
        }
        match many {
            0 => self.jobs.extend(batch.iter().map(|spec| new_job(now, spec.clone()))),
            _ if many == batch.len() && same => {}
            _ => return Err(Conflict),
        }
        Ok(many == 0)
    }

    fn retry(&mut self, now: Timestamp, id: JobId) -> RetryReply {
        let Some(job) = self.job(id) else { return RetryReply::NotFound };
        if !job.state.is_finished() {
            return RetryReply::Unfinished(job.state);
        }
        job.state = JobState::Ready;
        job.run_at = now;
        job.max_retries = retries_from(job.attempt, job.spec.max_retries);
        (job.ended_by, job.finished_at, job.result) = (None, None, None);
        (job.reason, job.cancel_wanted) = (Reason::None, false);
        RetryReply::Retried
    }

    fn cancel(&mut self, now: Timestamp, id: JobId, if_running: IfRunning) -> CancelReply {
        let Some(job) = self.job(id) else { return CancelReply::NotFound };
        if job.state.is_finished() {
            return CancelReply::Finished(job.state);
        }
        if job.lease.is_some() {
            job.cancel_wanted |= if_running == IfRunning::Signal;
            return CancelReply::Running;
        }
        job.finish(JobState::Cancelled, now, None, Reason::Any);
        CancelReply::Cancelled
    }
}

fn new_job(now: Timestamp, spec: JobSpec) -> Job {
    let run_at = spec.run_at.unwrap_or(now);
    Job {
        state: if run_at <= now { JobState::Ready } else { JobState::Scheduled },
        max_retries: spec.max_retries,
        spec,
        created_at: now,
        run_at,
        attempt: 0,
        lease: None,
        cancel_wanted: false,
        ended_by: None,
        finished_at: None,
        result: None,
        reason: Reason::None,
        errors: Vec::new(),
    }
}
