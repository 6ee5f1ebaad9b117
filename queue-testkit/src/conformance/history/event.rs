//! The events of a recording: requests, replies and starts of handlers.

use std::time::Duration;

use queue_core::backend::{CancelReply, RetryReply, Settled};
use queue_core::{ClaimId, ErrorKind, JobId, JobSpec, JobState, Timestamp, Token, WorkerId};
use serde::{Deserialize, Serialize};

use super::encode::{hex, state};

/// An event of a process. A reply has the number of its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    Asked(u64, Asked),
    Answered(u64, Answered),
    /// A handler started the job.
    Started {
        job: JobId,
        attempt: u32,
    },
}

impl Event {
    /// Parses a line; `None` if it is not an event.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Whether a line is the request of an insert.
    pub(crate) fn asks_to_insert(line: &str) -> bool {
        matches!(Self::read(line), Some(Self::Asked(_, Asked::Insert { .. })))
    }

    /// Whether a line is the reply to one settlement, with this result.
    pub(crate) fn has_settled(line: &str, expected: SettleAnswer) -> bool {
        matches!(
            Self::read(line),
            Some(Self::Answered(_, Answered::Settled(answers))) if answers == [Ok(expected)]
        )
    }
}

/// A request, with the fields that the checks need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Asked {
    Insert {
        batches: Vec<Vec<NewJob>>,
        claim: Option<Claim>,
    },
    Claim(Claim),
    Leases {
        #[serde(with = "hex")]
        claim: ClaimId,
        #[serde(with = "hex")]
        worker: WorkerId,
    },
    Settle(Vec<LeaseEnd>),
    Cancel(Vec<JobId>),
    Retry(Vec<JobId>),
    Register {
        #[serde(with = "hex")]
        worker: WorkerId,
        now: Option<Micros>,
        expiry: Duration,
    },
    Heartbeat {
        #[serde(with = "hex")]
        worker: WorkerId,
        now: Option<Micros>,
    },
    Maintain {
        now: Option<Micros>,
        rescues: bool,
        prunes: bool,
    },
    Read,
    /// An operation that neither changes a job nor extends a worker.
    Other,
}

/// A reply, with the fields that the checks need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answered {
    Inserted {
        /// For each batch, whether its jobs are new.
        /// Per job, whether it is new or known; `None` for a duplicate, which is not stored.
        batches: Vec<Result<Vec<Option<bool>>, Failure>>,
        /// `None` if the claim was not executed.
        claim: Option<Result<Vec<Leased>, Failure>>,
    },
    /// The leases that a claim returned, or that a list of leases contains.
    Claimed(Vec<Leased>),
    Settled(Vec<Result<SettleAnswer, Failure>>),
    Cancelled(Vec<CancelAnswer>),
    Retried(Vec<RetryAnswer>),
    Maintained {
        /// Number of rescued jobs, including those that died.
        rescued: u64,
        pruned: u64,
    },
    /// The jobs that a read returned; `None` for a job that does not exist.
    Read(Vec<(JobId, Option<Found>)>),
    Done,
    Failed(Failure),
}

/// A job of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) attempts: u32,
    /// Whether it may be a duplicate of another job, because it has a unique key.
    pub(crate) has_key: bool,
}

impl From<&JobSpec> for NewJob {
    fn from(job: &JobSpec) -> Self {
        Self { id: job.id, attempts: job.max_attempts(), has_key: job.unique.is_some() }
    }
}

/// A request to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    #[serde(with = "hex")]
    pub(crate) claim: ClaimId,
    #[serde(with = "hex")]
    pub(crate) worker: WorkerId,
    pub(crate) now: Option<Micros>,
    pub(crate) grace: Duration,
}

/// A job under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leased {
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) timeout: Duration,
}

/// A time of the backend's clock, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Micros(i64);

impl From<Timestamp> for Micros {
    fn from(time: Timestamp) -> Self {
        Self(time.as_micros())
    }
}

impl Micros {
    pub(crate) fn time(self) -> Timestamp {
        Timestamp::from_micros(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) job: JobId,
    #[serde(with = "hex")]
    pub(crate) claim: ClaimId,
}

impl From<Token> for Lease {
    fn from(token: Token) -> Self {
        Self { job: token.job, claim: token.claim }
    }
}

/// A settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseEnd {
    pub(crate) lease: Lease,
    pub(crate) ending: Ending,
    /// The jobs that are inserted if the lease completes its job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) follow_ups: Vec<NewJob>,
}

/// A job that a read returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    #[serde(with = "state")]
    pub(crate) state: JobState,
    pub(crate) attempt: u32,
}

/// The verdict of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// Holds the hash of the result.
    Complete(Option<u64>),
    Retry,
    Bury,
    Snooze,
    Cancel,
    Release,
}

/// The answer to a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SettleAnswer {
    Done,
    LeaseLost,
}

impl From<Settled> for SettleAnswer {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Done => Self::Done,
            _ => Self::LeaseLost,
        }
    }
}

/// The answer to the cancel of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CancelAnswer {
    Cancelled,
    Running,
    Finished(#[serde(with = "state")] JobState),
    NotFound,
}

impl From<CancelReply> for CancelAnswer {
    fn from(reply: CancelReply) -> Self {
        match reply {
            CancelReply::Cancelled => Self::Cancelled,
            CancelReply::Running => Self::Running,
            CancelReply::Finished(state) => Self::Finished(state),
            _ => Self::NotFound,
        }
    }
}

/// The answer to the retry of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RetryAnswer {
    Retried,
    Unfinished(#[serde(with = "state")] JobState),
    KeyHeld,
    NotFound,
}

impl From<RetryReply> for RetryAnswer {
    fn from(reply: RetryReply) -> Self {
        match reply {
            RetryReply::Retried => Self::Retried,
            RetryReply::Unfinished(state) => Self::Unfinished(state),
            RetryReply::KeyHeld(_) => Self::KeyHeld,
            _ => Self::NotFound,
        }
    }
}

/// The kind of an error, as far as the outcome of the request depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The request may have taken effect, or may do so later.
    UnknownOutcome,
    /// Nothing was changed, and a retry may succeed.
    Retryable,
    /// Nothing was changed, because the worker is lost.
    WorkerLost,
    /// Nothing was changed.
    Refused,
}

impl From<&queue_core::Error> for Failure {
    fn from(error: &queue_core::Error) -> Self {
        match error.kind() {
            ErrorKind::UnknownOutcome => Self::UnknownOutcome,
            ErrorKind::WorkerLost => Self::WorkerLost,
            kind if kind.is_retryable() => Self::Retryable,
            _ => Self::Refused,
        }
    }
}
