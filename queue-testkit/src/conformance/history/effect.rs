//! Derives the effects of an operation on jobs from its request and reply.

use std::time::Duration;

use queue_core::{ClaimId, JobId, WorkerId};

use super::event::{
    Answered, Asked, CancelAnswer, Claim, Failure, LeaseEnd, Leased, NewJob, RetryAnswer, SettleAnswer,
};
use super::log::Operation;
use super::order::NEVER;
use super::step::Step;

/// The effects of one operation.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) asked: Duration,
    /// [`NEVER`] if the operation may still take effect.
    pub(super) answered: Duration,
    pub(super) process: usize,
    /// Steps of jobs that happened between the request and the reply.
    pub(super) sure: Vec<(JobId, Step)>,
    /// Steps of jobs that may have happened at any time since the request.
    pub(super) maybe: Vec<(JobId, Step)>,
    /// A claim of unknown outcome, which may have claimed any job since the request.
    pub(super) unknown_claim: Option<ClaimId>,
    /// The claim and its worker.
    pub(super) claimer: Option<(ClaimId, WorkerId)>,
    /// Set if `sure` lists all leases of this claim of this worker.
    pub(super) leases_of: Option<(ClaimId, WorkerId)>,
    /// The operation may have rescued jobs.
    pub(super) rescues: bool,
    /// The operation may have pruned finished jobs.
    pub(super) prunes: bool,
}

/// The outcome of an operation as a whole.
enum Outcome<'a> {
    Known(&'a Answered),
    Unknown,
    Failed,
}

impl Effects {
    pub(super) fn of(operation: &Operation) -> Self {
        let outcome = match operation.answered() {
            None | Some(Answered::Failed(Failure::UnknownOutcome)) => Outcome::Unknown,
            Some(Answered::Failed(_)) => Outcome::Failed,
            Some(answered) => Outcome::Known(answered),
        };
        let is_unknown = matches!(outcome, Outcome::Unknown);
        let answered = operation.answer.as_ref().filter(|_| !is_unknown).map_or(NEVER, |(at, _)| *at);
        let (asked, process) = (operation.asked_at, operation.process);
        let mut effects = Self { asked, answered, process, ..Self::default() };
        match outcome {
            Outcome::Known(answered) => effects.known(&operation.asked, answered),
            Outcome::Unknown => effects.unknown(&operation.asked),
            Outcome::Failed => {}
        }
        effects
    }

    fn unknown(&mut self, asked: &Asked) {
        match asked {
            Asked::Insert { batches, claim } => {
                batches.iter().for_each(|batch| self.may_insert(batch));
                claim.iter().for_each(|claim| self.unknown_claim(claim));
            }
            Asked::Claim(claim) => self.unknown_claim(claim),
            Asked::Settle(ends) => {
                for end in ends {
                    self.maybe.push(end.step(SettleAnswer::Done));
                    self.may_insert(&end.follow_ups);
                }
            }
            Asked::Cancel(jobs) => {
                let step = Step::Cancelled(CancelAnswer::Cancelled);
                self.maybe.extend(jobs.iter().map(|&job| (job, step)));
            }
            Asked::Retry(jobs) => {
                let step = Step::Retried(RetryAnswer::Retried);
                self.maybe.extend(jobs.iter().map(|&job| (job, step)));
            }
            Asked::Maintain { rescues, prunes, .. } => {
                (self.rescues, self.prunes) = (*rescues, *prunes);
            }
            Asked::Leases { .. }
            | Asked::Register { .. }
            | Asked::Heartbeat { .. }
            | Asked::Read
            | Asked::Other => {}
        }
    }

    fn known(&mut self, asked: &Asked, answered: &Answered) {
        match (asked, answered) {
            (Asked::Insert { batches, claim }, Answered::Inserted { batches: answers, claim: made }) => {
                for (batch, answer) in batches.iter().zip(answers) {
                    self.inserted(batch, answer);
                }
                match (claim, made) {
                    (Some(claim), Some(Ok(jobs))) => self.claimed(claim, jobs),
                    (Some(claim), Some(Err(Failure::UnknownOutcome))) => self.unknown_claim(claim),
                    _ => {}
                }
            }
            (Asked::Claim(claim), Answered::Claimed(jobs)) => self.claimed(claim, jobs),
            (&Asked::Leases { claim, worker }, Answered::Claimed(jobs)) => {
                let step = |leased: &Leased| Step::Leased { claim, attempt: Some(leased.attempt) };
                self.sure.extend(jobs.iter().map(|leased| (leased.job, step(leased))));
                self.leases_of = Some((claim, worker));
            }
            (Asked::Settle(ends), Answered::Settled(answers)) => {
                for (end, answer) in ends.iter().zip(answers) {
                    match *answer {
                        Ok(answer) => self.sure.push(end.step(answer)),
                        Err(Failure::UnknownOutcome) => self.maybe.push(end.step(SettleAnswer::Done)),
                        Err(_) => continue,
                    }
                    // An earlier request may have inserted them. That they are stored is a rule of
                    // its own.
                    self.may_insert(&end.follow_ups);
                }
            }
            (Asked::Cancel(jobs), Answered::Cancelled(answers)) => {
                let answers = jobs.iter().zip(answers);
                self.sure.extend(answers.map(|(job, answer)| (*job, Step::Cancelled(*answer))));
            }
            (Asked::Retry(jobs), Answered::Retried(answers)) => {
                let answers = jobs.iter().zip(answers);
                self.sure.extend(answers.map(|(job, answer)| (*job, Step::Retried(*answer))));
            }
            (Asked::Maintain { .. }, Answered::Maintained { rescued, pruned }) => {
                (self.rescues, self.prunes) = (*rescued > 0, *pruned > 0);
            }
            (Asked::Read, Answered::Read(jobs)) => {
                self.sure.extend(jobs.iter().map(|(job, found)| (*job, Step::Read(found.map(Into::into)))));
            }
            _ => {}
        }
    }

    fn may_insert(&mut self, jobs: &[NewJob]) {
        let step = |job: &NewJob| (job.id, Step::Inserted { is_new: true, attempts: job.attempts });
        self.maybe.extend(jobs.iter().map(step));
    }

    fn inserted(&mut self, batch: &[NewJob], answer: &Result<Vec<Option<bool>>, Failure>) {
        let step = |job: &NewJob, is_new| (job.id, Step::Inserted { is_new, attempts: job.attempts });
        match answer {
            Ok(new) => {
                let stored = batch.iter().zip(new).filter_map(|(job, is_new)| Some(step(job, (*is_new)?)));
                self.sure.extend(stored);
            }
            Err(Failure::UnknownOutcome) => self.maybe.extend(batch.iter().map(|job| step(job, true))),
            Err(_) => {}
        }
    }

    fn claimed(&mut self, claim: &Claim, jobs: &[Leased]) {
        let step = |leased: &Leased| Step::Claimed { claim: claim.claim, attempt: leased.attempt };
        self.sure.extend(jobs.iter().map(|leased| (leased.job, step(leased))));
        self.claimer = Some((claim.claim, claim.worker));
    }

    fn unknown_claim(&mut self, claim: &Claim) {
        self.unknown_claim = Some(claim.claim);
        self.claimer = Some((claim.claim, claim.worker));
    }
}

impl LeaseEnd {
    fn step(&self, answer: SettleAnswer) -> (JobId, Step) {
        (self.lease.job, Step::Settled { claim: self.lease.claim, ending: self.ending, answer })
    }
}
