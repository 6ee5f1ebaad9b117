//! One operation as it concerned one job, and what it makes of the job.

use queue_core::{ClaimId, State};

use super::event::{CancelAnswer, Ending, Found, SettleAnswer};

/// One operation, as it concerned one job, with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An insert of a job with so many attempts, and whether it was new.
    Inserted { is_new: bool, attempts: u32 },
    /// A claim that brought the job.
    Claimed { claim: ClaimId, attempt: u32 },
    /// A look at the leases of a claim: the attempt, if the job was among them.
    Leased { claim: ClaimId, attempt: Option<u32> },
    /// The end of a lease.
    Settled { claim: ClaimId, ending: Ending, answer: SettleAnswer },
    /// A cancel.
    Cancelled(CancelAnswer),
    /// The job as it was seen; `None` if it did not exist.
    Read(Option<Seen>),
    /// Its lease was taken back.
    Rescued,
    /// It was removed because it is old.
    Pruned,
}

/// A job as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: State,
    pub(crate) attempt: u32,
    /// The claim that holds it, or ended it, if that is known.
    pub(crate) claim: Option<Option<ClaimId>>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Absent,
    Waiting {
        attempt: u32,
    },
    /// Without a claim: by one of unknown outcome that nothing names later.
    Running {
        claim: Option<ClaimId>,
        attempt: u32,
    },
    /// By the holder of this claim; without a claim, by a cancel or a rescue.
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
                Self::Settled { claim, ending, answer: SettleAnswer::Done },
                Stage::Running { claim: Some(holder), attempt },
            ) if claim == holder => Some(ending.leaves(claim, attempt, attempts)),
            (Self::Cancelled(CancelAnswer::Cancelled), Stage::Waiting { attempt }) => {
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
            Self::Settled { claim, ending, answer } => {
                let expected = match stage {
                    Stage::Running { claim: Some(holder), .. } if holder == claim => return false,
                    Stage::Ended { state, claim: Some(winner), .. }
                        if winner == claim && ending.ends_as(state) =>
                    {
                        SettleAnswer::Done
                    }
                    _ => SettleAnswer::LeaseLost,
                };
                answer == expected
            }
            Self::Cancelled(reply) => match stage {
                Stage::Absent => reply == CancelAnswer::NotFound,
                Stage::Waiting { .. } => false,
                Stage::Running { .. } => reply == CancelAnswer::Running,
                Stage::Ended { state, .. } => reply == CancelAnswer::Finished(state),
            },
            Self::Read(seen) => seen.map_or(stage == Stage::Absent, |seen| seen.is(stage)),
            Self::Claimed { .. } | Self::Rescued | Self::Pruned => false,
        }
    }

    /// The attempt that it names.
    pub(super) const fn attempt(self) -> Option<u32> {
        match self {
            Self::Claimed { attempt, .. } => Some(attempt),
            Self::Leased { attempt, .. } => attempt,
            Self::Read(Some(seen)) => Some(seen.attempt),
            _ => None,
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
}

impl Ending {
    /// Where the job is after its lease ended like this.
    fn leaves(self, claim: ClaimId, attempt: u32, attempts: u32) -> Stage {
        let ended = |state| Stage::Ended { state, claim: Some(claim), attempt };
        match self {
            Self::Complete(_) => ended(State::Completed),
            Self::Bury => ended(State::Dead),
            Self::Cancel => ended(State::Cancelled),
            Self::Retry if attempt >= attempts => ended(State::Dead),
            Self::Retry => Stage::Waiting { attempt },
            Self::Snooze | Self::Release => Stage::Waiting { attempt: attempt.saturating_sub(1) },
        }
    }

    /// Whether the job may have ended in this state by it.
    const fn ends_as(self, state: State) -> bool {
        matches!(
            (self, state),
            (Self::Complete(_), State::Completed)
                | (Self::Bury | Self::Retry, State::Dead)
                | (Self::Cancel, State::Cancelled)
        )
    }
}

impl From<Found> for Seen {
    fn from(found: Found) -> Self {
        Self { state: found.state, attempt: found.attempt, claim: None }
    }
}

impl Seen {
    fn is(self, stage: Stage) -> bool {
        let fits = |claim: Option<ClaimId>, attempt: u32| {
            self.attempt == attempt && self.claim.is_none_or(|known| known == claim)
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
