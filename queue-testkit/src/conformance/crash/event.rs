//! What a process says of its operations, a line each.

use queue_core::backend::{CancelReply, Completion, Settled, Verdict};
use queue_core::{ClaimId, ErrorKind, JobId, State, WorkerId};
use serde::{Deserialize, Serialize};

/// One line: an operation that is about to be asked for, its answer, or the start of a handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    Asks(u64, Asked),
    Answers(u64, Answered),
    Starts { job: JobId, attempt: u32 },
}

impl Event {
    /// The event that a line tells, if it tells one.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Whether a line tells that an insert is about to be asked for.
    pub(crate) fn asks_to_insert(line: &str) -> bool {
        matches!(Self::read(line), Some(Self::Asks(_, Asked::Insert(_))))
    }

    /// Whether a line tells that a settlement was answered so.
    pub(crate) fn has_settled(line: &str, expected: End) -> bool {
        matches!(Self::read(line), Some(Self::Answers(_, Answered::Settled(ends))) if ends == [Ok(expected)])
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Asked {
    Insert(Vec<Vec<JobId>>),
    Claim {
        #[serde(with = "text")]
        claim: ClaimId,
        #[serde(with = "text")]
        worker: WorkerId,
    },
    Settle(Vec<(Lease, Ending)>),
    Cancel(Vec<JobId>),
    Register(Named),
    Beat(Named),
}

/// What an operation was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answered {
    /// For each batch, whether its jobs are new.
    Inserted(Vec<Result<Vec<bool>, Failure>>),
    /// The jobs and their attempts.
    Claimed(Vec<(JobId, u32)>),
    Settled(Vec<Result<End, Failure>>),
    Cancelled(Vec<Met>),
    Alive,
    /// Upkeep that took something back.
    Rescued {
        jobs: u64,
        workers: u64,
    },
    Failed(Failure),
}

/// The name of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Named(#[serde(with = "text")] pub(crate) WorkerId);

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) job: JobId,
    #[serde(with = "text")]
    pub(crate) claim: ClaimId,
}

/// How a lease was to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Complete(Option<Vec<u8>>),
    Retry,
    Bury,
    Snooze,
    Cancel,
    Release,
    /// One that came later than this suite.
    Other,
}

impl Ending {
    pub(crate) fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Complete(Completion { result, .. }) => Self::Complete(result.clone()),
            Verdict::Retry { .. } => Self::Retry,
            Verdict::Bury { .. } => Self::Bury,
            Verdict::Snooze { .. } => Self::Snooze,
            Verdict::Cancel { .. } => Self::Cancel,
            Verdict::Release => Self::Release,
            _ => Self::Other,
        }
    }

    /// Whether the job can be claimed again after it.
    pub(crate) const fn gives_back(&self) -> bool {
        matches!(self, Self::Retry | Self::Snooze | Self::Release)
    }

    /// Whether a job can have ended so.
    pub(crate) const fn ends_as(&self, state: State) -> bool {
        matches!(
            (self, state),
            (Self::Complete(_), State::Completed)
                | (Self::Bury | Self::Retry, State::Dead)
                | (Self::Cancel, State::Cancelled)
        )
    }
}

/// How a settlement was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Done,
    LeaseLost,
}

impl From<Settled> for End {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Done => Self::Done,
            _ => Self::LeaseLost,
        }
    }
}

/// What a cancel met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Met {
    Waiting,
    Running,
    Finished(#[serde(with = "word")] State),
    Nothing,
}

impl From<CancelReply> for Met {
    fn from(reply: CancelReply) -> Self {
        match reply {
            CancelReply::Cancelled => Self::Waiting,
            CancelReply::Running => Self::Running,
            CancelReply::Finished(state) => Self::Finished(state),
            _ => Self::Nothing,
        }
    }
}

/// What an error means to whoever wants to know what is stored now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The request may have taken effect.
    Unknown,
    WorkerLost,
    /// Nothing was changed.
    Refused,
}

impl From<&queue_core::Error> for Failure {
    fn from(error: &queue_core::Error) -> Self {
        match error.kind() {
            ErrorKind::UnknownOutcome => Self::Unknown,
            ErrorKind::WorkerLost => Self::WorkerLost,
            _ => Self::Refused,
        }
    }
}

/// States by their words.
mod word {
    use queue_core::State;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = State::ALL.iter().copied().find(|state| state.as_str() == word);
        known.ok_or_else(|| de::Error::custom(format!("no state is called `{word}`")))
    }
}

/// Names as hexadecimal digits.
mod text {
    use queue_core::{ClaimId, WorkerId};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) trait Bytes: Copy {
        fn bytes(self) -> [u8; 16];
        fn of(bytes: [u8; 16]) -> Self;
    }

    macro_rules! bytes {
        ($($name:ident),+) => {$(
            impl Bytes for $name {
                fn bytes(self) -> [u8; 16] {
                    self.to_bytes()
                }

                fn of(bytes: [u8; 16]) -> Self {
                    Self::from_bytes(bytes)
                }
            }
        )+};
    }
    bytes!(ClaimId, WorkerId);

    pub(super) fn serialize<T: Bytes, S: Serializer>(name: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(name.bytes())))
    }

    pub(super) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&digits, 16).map_err(de::Error::custom)?;
        Ok(T::of(number.to_be_bytes()))
    }
}
