//! What each request and its reply say of jobs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, ClaimedJob, Completion, InsertRequest,
    LeasesRequest, MaintainReply, MaintainRequest, SettleRequest, Settled, Settlement, Verdict,
};
use queue_core::{Error, ErrorKind, JobId, JobSpec, Result, Submitted};

use super::Told;
use super::step::{End, Step};

/// A request whose effects on jobs are told by what it says and how it is answered.
pub(crate) trait Observed {
    type Reply;

    /// What may have happened as soon as it is asked.
    fn asked(&self) -> Told;

    /// What is known once it is answered.
    fn answered(&self, reply: &Self::Reply) -> Told;

    /// Errors within a reply.
    fn errors(_reply: &Self::Reply) -> impl Iterator<Item = &Error> {
        std::iter::empty()
    }
}

/// Something short that stands for these bytes.
pub(super) fn print_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn inserted(job: &JobSpec, is_new: bool) -> (JobId, Step) {
    (job.id, Step::Inserted { is_new, attempts: job.max_attempts() })
}

impl Observed for InsertRequest {
    type Reply = Vec<Result<Vec<Submitted>>>;

    fn asked(&self) -> Told {
        let maybe = self.batches.iter().flatten().map(|job| inserted(job, true)).collect();
        Told { maybe, ..Told::default() }
    }

    fn answered(&self, reply: &Self::Reply) -> Told {
        let mut told = Told::default();
        for (batch, fate) in self.batches.iter().zip(reply) {
            match fate {
                Ok(submitted) => {
                    let answers = batch.iter().zip(submitted);
                    told.sure.extend(answers.map(|(job, answer)| inserted(job, answer.is_new())));
                }
                Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
                    told.maybe.extend(batch.iter().map(|job| inserted(job, true)));
                }
                Err(_) => {}
            }
        }
        told
    }

    fn errors(reply: &Self::Reply) -> impl Iterator<Item = &Error> {
        reply.iter().filter_map(|fate| fate.as_ref().err())
    }
}

impl Observed for ClaimRequest {
    type Reply = ClaimReply;

    fn asked(&self) -> Told {
        Told { claim: Some(self.claim), claimer: Some((self.claim, self.worker)), ..Told::default() }
    }

    fn answered(&self, reply: &ClaimReply) -> Told {
        let claimed = |job: &ClaimedJob| {
            (job.token.job, Step::Claimed { claim: job.token.claim, attempt: job.attempt })
        };
        let claimer = Some((self.claim, self.worker));
        Told { sure: reply.jobs.iter().map(claimed).collect(), claimer, ..Told::default() }
    }
}

impl Observed for LeasesRequest {
    type Reply = Vec<ClaimedJob>;

    fn asked(&self) -> Told {
        Told::default()
    }

    fn answered(&self, reply: &Vec<ClaimedJob>) -> Told {
        let leased = |job: &ClaimedJob| {
            (job.token.job, Step::Leased { claim: job.token.claim, attempt: Some(job.attempt) })
        };
        let leases_of = Some((self.claim, self.worker));
        Told { sure: reply.iter().map(leased).collect(), leases_of, ..Told::default() }
    }
}

fn settled(settlement: &Settlement, answer: Settled) -> (JobId, Step) {
    let result = match &settlement.verdict {
        Verdict::Complete(Completion { result, .. }) => result.as_deref().map(print_of),
        _ => None,
    };
    let end = End::from(&settlement.verdict);
    (settlement.token.job, Step::Settled { claim: settlement.token.claim, end, result, answer })
}

impl Observed for SettleRequest {
    type Reply = Vec<Result<Settled>>;

    fn asked(&self) -> Told {
        let done = |settlement: &Settlement| settled(settlement, Settled::Done);
        Told { maybe: self.settlements.iter().map(done).collect(), ..Told::default() }
    }

    fn answered(&self, reply: &Self::Reply) -> Told {
        let mut told = Told::default();
        for (settlement, answer) in self.settlements.iter().zip(reply) {
            match answer {
                Ok(answer) => told.sure.push(settled(settlement, *answer)),
                Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
                    told.maybe.push(settled(settlement, Settled::Done));
                }
                Err(_) => {}
            }
        }
        told
    }

    fn errors(reply: &Self::Reply) -> impl Iterator<Item = &Error> {
        reply.iter().filter_map(|answer| answer.as_ref().err())
    }
}

impl Observed for CancelRequest {
    type Reply = Vec<CancelReply>;

    fn asked(&self) -> Told {
        let cancelled = |job: &JobId| (*job, Step::Cancelled(CancelReply::Cancelled));
        Told { maybe: self.jobs.iter().map(cancelled).collect(), ..Told::default() }
    }

    fn answered(&self, reply: &Vec<CancelReply>) -> Told {
        let answers = self.jobs.iter().zip(reply);
        Told {
            sure: answers.map(|(job, reply)| (*job, Step::Cancelled(*reply))).collect(),
            ..Told::default()
        }
    }
}

impl Observed for MaintainRequest {
    type Reply = MaintainReply;

    fn asked(&self) -> Told {
        Told { rescues: self.rescue > 0, prunes: self.prune.is_some(), ..Told::default() }
    }

    fn answered(&self, reply: &MaintainReply) -> Told {
        Told { rescues: reply.rescued + reply.died > 0, prunes: reply.pruned > 0, ..Told::default() }
    }
}
