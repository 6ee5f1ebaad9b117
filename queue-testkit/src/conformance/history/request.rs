//! Converts requests and replies of a backend to events.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use queue_core::backend::{
    CancelReply, CancelRequest, ChangeSchedulesRequest, ClaimReply, ClaimRequest, ClaimedJob, Completion,
    HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, JobRecord, LeasesRequest, MaintainReply,
    MaintainRequest, RegisterRequest, RetryReply, RetryRequest, ScheduleChange, ScheduleChanged,
    SettleRequest, Settled, Verdict,
};
use queue_core::{Insertion, JobSpec, Result, Submitted};

use super::event::{Answered, Asked, Claim, Ending, Failure, Found, LeaseEnd, Leased, NewJob};

/// A request that is recorded, with its reply.
pub(crate) trait Request {
    type Reply;

    fn asked(&self) -> Asked;

    fn answered(reply: &Self::Reply) -> Answered;
}

/// Converts a reply or an error to its event.
pub(crate) fn answer<R: Request>(reply: &Result<R::Reply>) -> Answered {
    match reply {
        Ok(reply) => R::answered(reply),
        Err(error) => Answered::Failed(error.into()),
    }
}

/// A hash that is the same in every process of a program.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn each<T, U>(replies: &[Result<T>], answer: impl Fn(&T) -> U) -> Vec<std::result::Result<U, Failure>> {
    replies.iter().map(|reply| reply.as_ref().map(&answer).map_err(Failure::from)).collect()
}

/// Whether a stored job is new; `None` if the job was not stored.
fn stored(job: &Submitted) -> Option<bool> {
    (job.insertion != Insertion::Duplicate).then(|| job.is_new())
}

fn leased(jobs: &[ClaimedJob]) -> Vec<Leased> {
    let leased = |job: &ClaimedJob| Leased { job: job.token.job, attempt: job.attempt, timeout: job.timeout };
    jobs.iter().map(leased).collect()
}

impl From<&ClaimRequest> for Claim {
    fn from(request: &ClaimRequest) -> Self {
        let ClaimRequest { claim, worker, grace, .. } = *request;
        Self { claim, worker, now: request.now.map(Into::into), grace }
    }
}

impl From<&Verdict> for Ending {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Complete(Completion { result, .. }) => Self::Complete(result.as_deref().map(hash)),
            Verdict::Retry { .. } => Self::Retry,
            Verdict::Bury { .. } => Self::Bury,
            Verdict::Cancel { .. } => Self::Cancel,
            Verdict::Snooze { .. } => Self::Snooze,
            // A verdict that this suite does not know is assumed not to end the job.
            _ => Self::Release,
        }
    }
}

impl From<&JobRecord> for Found {
    fn from(record: &JobRecord) -> Self {
        Self { state: record.state, attempt: record.attempt }
    }
}

impl Request for InsertRequest {
    type Reply = InsertReply;

    fn asked(&self) -> Asked {
        let batches = self.batches.iter().map(|batch| batch.iter().map(NewJob::from).collect()).collect();
        Asked::Insert { batches, claim: self.claim.as_ref().map(Claim::from) }
    }

    fn answered(reply: &InsertReply) -> Answered {
        let claim = |made: &Result<ClaimReply>| match made {
            Ok(reply) => Ok(leased(&reply.jobs)),
            Err(error) => Err(error.into()),
        };
        Answered::Inserted {
            batches: each(&reply.batches, |jobs| jobs.iter().map(stored).collect()),
            claim: reply.claim.as_ref().map(claim),
        }
    }
}

/// The jobs of a change are one batch, which is refused if the change is stale.
impl Request for ChangeSchedulesRequest {
    type Reply = Vec<Result<ScheduleChanged>>;

    fn asked(&self) -> Asked {
        let batch = |change: &ScheduleChange| change.jobs.iter().map(NewJob::from).collect();
        Asked::Insert { batches: self.changes.iter().map(batch).collect(), claim: None }
    }

    fn answered(reply: &Vec<Result<ScheduleChanged>>) -> Answered {
        let batch = |changed: &Result<ScheduleChanged>| match changed {
            Ok(ScheduleChanged::Done(jobs)) => Ok(jobs.iter().map(stored).collect()),
            Ok(_) => Err(Failure::Refused),
            Err(error) => Err(error.into()),
        };
        Answered::Inserted { batches: reply.iter().map(batch).collect(), claim: None }
    }
}

impl Request for ClaimRequest {
    type Reply = ClaimReply;

    fn asked(&self) -> Asked {
        Asked::Claim(self.into())
    }

    fn answered(reply: &ClaimReply) -> Answered {
        Answered::Claimed(leased(&reply.jobs))
    }
}

impl Request for LeasesRequest {
    type Reply = Vec<ClaimedJob>;

    fn asked(&self) -> Asked {
        Asked::Leases { claim: self.claim, worker: self.worker }
    }

    fn answered(reply: &Vec<ClaimedJob>) -> Answered {
        Answered::Claimed(leased(reply))
    }
}

impl Request for SettleRequest {
    type Reply = Vec<Result<Settled>>;

    fn asked(&self) -> Asked {
        let settlements = self.settlements.iter().map(|settlement| {
            let follow_ups: &[JobSpec] = match &settlement.verdict {
                Verdict::Complete(completion) => &completion.follow_ups,
                _ => &[],
            };
            LeaseEnd {
                lease: settlement.token.into(),
                ending: Ending::from(&settlement.verdict),
                follow_ups: follow_ups.iter().map(NewJob::from).collect(),
            }
        });
        Asked::Settle(settlements.collect())
    }

    fn answered(reply: &Self::Reply) -> Answered {
        Answered::Settled(each(reply, |&settled| settled.into()))
    }
}

impl Request for CancelRequest {
    type Reply = Vec<CancelReply>;

    fn asked(&self) -> Asked {
        Asked::Cancel(self.jobs.clone())
    }

    fn answered(reply: &Vec<CancelReply>) -> Answered {
        Answered::Cancelled(reply.iter().map(|&reply| reply.into()).collect())
    }
}

impl Request for RetryRequest {
    type Reply = Vec<RetryReply>;

    fn asked(&self) -> Asked {
        Asked::Retry(self.jobs.clone())
    }

    fn answered(reply: &Vec<RetryReply>) -> Answered {
        Answered::Retried(reply.iter().map(|&reply| reply.into()).collect())
    }
}

impl Request for RegisterRequest {
    type Reply = ();

    fn asked(&self) -> Asked {
        let Self { worker, expiry, .. } = *self;
        Asked::Register { worker, now: self.now.map(Into::into), expiry }
    }

    fn answered((): &()) -> Answered {
        Answered::Done
    }
}

impl Request for HeartbeatRequest {
    type Reply = HeartbeatReply;

    fn asked(&self) -> Asked {
        Asked::Heartbeat { worker: self.worker, now: self.now.map(Into::into) }
    }

    fn answered(_: &HeartbeatReply) -> Answered {
        Answered::Done
    }
}

impl Request for MaintainRequest {
    type Reply = MaintainReply;

    fn asked(&self) -> Asked {
        let now = self.now.map(Into::into);
        Asked::Maintain { now, rescues: self.rescue > 0, prunes: self.prune.is_some() }
    }

    fn answered(reply: &MaintainReply) -> Answered {
        Answered::Maintained { rescued: reply.rescued + reply.died, pruned: reply.pruned }
    }
}
