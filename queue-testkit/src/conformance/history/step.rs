//! One operation as it concerned one job, and what it makes of the job.

use queue_core::backend::{CancelReply, Settled, Verdict};
use queue_core::{ClaimId, State};

/// One operation, as it concerned one job, with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An insert of a job with so many attempts, and whether it was new.
    Inserted { is_new: bool, attempts: u32 },
    /// A claim that brought the job.
    Claimed { claim: ClaimId, attempt: u32 },
    /// What was said of the leases of a claim: the attempt, if the job was among them.
    Leased { claim: ClaimId, attempt: Option<u32> },
    /// The end of a lease.
    Settled { claim: ClaimId, end: End, result: Option<u64>, answer: Settled },
    /// A cancel.
    Cancelled(CancelReply),
    /// The job as it was seen; `None` if it did not exist.
    Read(Option<Seen>),
    /// Its lease was taken back.
    Rescued,
    /// It was removed because it is old.
    Pruned,
}

/// How a lease is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// So, for good.
    Final(State),
    /// The attempt failed.
    Failed,
    /// The attempt costs nothing.
    Refunded,
}

impl From<&Verdict> for End {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Retry { .. } => Self::Failed,
            verdict => verdict.final_state().map_or(Self::Refunded, Self::Final),
        }
    }
}

/// A job as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: State,
    pub(crate) attempt: u32,
    /// The claim that holds it, or ended it, if that was told.
    pub(crate) claim: Option<Option<ClaimId>>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Absent,
    Waiting {
        attempt: u32,
    },
    /// By a claim of unknown outcome that was not heard of again, if it has no name.
    Running {
        claim: Option<ClaimId>,
        attempt: u32,
    },
    /// By the holder of this claim, or by nobody's verdict.
    Ended {
        state: State,
        claim: Option<ClaimId>,
        attempt: u32,
    },
}

impl Step {
    /// What it makes of a job that has so many attempts; `None` if it cannot be answered so there.
    pub(super) fn after(self, stage: Stage, attempts: u32) -> Option<Stage> {
        match (self, stage) {
            (Self::Inserted { is_new: true, .. }, Stage::Absent) => Some(Stage::Waiting { attempt: 0 }),
            (Self::Claimed { claim, attempt }, Stage::Waiting { attempt: before }) => {
                let is_next = attempt == before + 1 && attempt <= attempts;
                is_next.then_some(Stage::Running { claim: Some(claim), attempt })
            }
            (
                Self::Settled { claim, end, answer: Settled::Done, .. },
                Stage::Running { claim: Some(holder), attempt },
            ) if claim == holder => Some(end.of(claim, attempt, attempts)),
            (Self::Cancelled(CancelReply::Cancelled), Stage::Waiting { attempt }) => {
                Some(Stage::Ended { state: State::Cancelled, claim: None, attempt })
            }
            (Self::Rescued, Stage::Running { attempt, .. }) if attempt >= attempts => {
                Some(Stage::Ended { state: State::Dead, claim: None, attempt })
            }
            (Self::Rescued, Stage::Running { attempt, .. }) => Some(Stage::Waiting { attempt }),
            (Self::Pruned, Stage::Ended { .. }) => Some(Stage::Absent),
            _ => self.is_true_of(stage).then_some(stage),
        }
    }

    /// Whether the answer is right for an operation that changes nothing.
    fn is_true_of(self, stage: Stage) -> bool {
        match self {
            Self::Inserted { is_new, .. } => !is_new && stage != Stage::Absent,
            Self::Leased { claim, attempt } => match stage {
                Stage::Running { claim: Some(holder), attempt: charged } if holder == claim => {
                    attempt == Some(charged)
                }
                _ => attempt.is_none(),
            },
            Self::Settled { claim, end, answer, .. } => {
                let expected = match stage {
                    Stage::Running { claim: Some(holder), .. } if holder == claim => return false,
                    Stage::Ended { state, claim: Some(winner), .. }
                        if winner == claim && end.ended_as(state) =>
                    {
                        Settled::Done
                    }
                    _ => Settled::LeaseLost,
                };
                answer == expected
            }
            Self::Cancelled(reply) => match stage {
                Stage::Absent => reply == CancelReply::NotFound,
                Stage::Waiting { .. } => false,
                Stage::Running { .. } => reply == CancelReply::Running,
                Stage::Ended { state, .. } => reply == CancelReply::Finished(state),
            },
            Self::Read(seen) => seen.map_or(stage == Stage::Absent, |seen| seen.is(stage)),
            Self::Claimed { .. } | Self::Rescued | Self::Pruned => false,
        }
    }

    /// The claim that it names.
    pub(super) fn claim(self) -> Option<ClaimId> {
        match self {
            Self::Claimed { claim, .. } | Self::Settled { claim, .. } => Some(claim),
            Self::Leased { claim, attempt } => attempt.map(|_| claim),
            Self::Read(seen) => seen.and_then(|seen| seen.claim.flatten()),
            Self::Inserted { .. } | Self::Cancelled(_) | Self::Rescued | Self::Pruned => None,
        }
    }

    pub(super) fn is_lease_lost(self) -> bool {
        matches!(self, Self::Settled { answer: Settled::LeaseLost, .. })
    }
}

impl End {
    /// Where a lease leaves the job that ends so.
    fn of(self, claim: ClaimId, attempt: u32, attempts: u32) -> Stage {
        match self {
            Self::Final(state) => Stage::Ended { state, claim: Some(claim), attempt },
            Self::Failed if attempt >= attempts => {
                Stage::Ended { state: State::Dead, claim: Some(claim), attempt }
            }
            Self::Failed => Stage::Waiting { attempt },
            Self::Refunded => Stage::Waiting { attempt: attempt.saturating_sub(1) },
        }
    }

    /// Whether the job may have ended so by it.
    fn ended_as(self, outcome: State) -> bool {
        match self {
            Self::Final(state) => state == outcome,
            Self::Failed => outcome == State::Dead,
            Self::Refunded => false,
        }
    }
}

impl Seen {
    fn is(self, stage: Stage) -> bool {
        let fits = |claim: Option<ClaimId>, attempt: u32| {
            self.attempt == attempt && self.claim.is_none_or(|told| told == claim)
        };
        match stage {
            Stage::Absent => false,
            Stage::Waiting { attempt } => {
                matches!(self.state, State::Scheduled | State::Ready | State::Retrying) && fits(None, attempt)
            }
            Stage::Running { claim, attempt } => self.state == State::Running && fits(claim, attempt),
            Stage::Ended { state, claim, attempt } => self.state == state && fits(claim, attempt),
        }
    }
}
