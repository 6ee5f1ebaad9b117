//! The part of an operation that concerns one job, and its effect on the job.

use queue_core::{ClaimId, JobState};

use super::event::{CancelAnswer, Ending, Found, RetryAnswer, SettleAnswer};

/// The part of an operation and its reply that concerns one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An insert of a job with this number of attempts, and whether it was new.
    Inserted { is_new: bool, attempts: u32 },
    /// A claim that returned the job.
    Claimed { claim: ClaimId, attempt: u32 },
    /// A list of the leases of a claim: the attempt, if the list contains the job.
    Leased { claim: ClaimId, attempt: Option<u32> },
    /// A settle.
    Settled { claim: ClaimId, ending: Ending, answer: SettleAnswer },
    /// A cancel.
    Cancelled(CancelAnswer),
    /// A retry by hand.
    Retried(RetryAnswer),
    /// A read of the job; `None` if it did not exist.
    Read(Option<Seen>),
    /// A rescue of the job.
    Rescued,
    /// A prune of the job.
    Pruned,
}

/// A job that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: JobState,
    pub(crate) attempt: u32,
    /// The claim that holds or ended the job, if it is known.
    pub(crate) claim: Option<Option<ClaimId>>,
}

/// The state of a job in the search. `most` is the highest attempt that the job may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Absent,
    Waiting {
        attempt: u32,
        most: u32,
    },
    /// Without a claim if the job was claimed by a claim of unknown outcome that no later operation
    /// names.
    Running {
        claim: Option<ClaimId>,
        attempt: u32,
        most: u32,
    },
    /// By the holder of this claim. Without a claim, by a cancel or a rescue.
    Ended {
        state: JobState,
        claim: Option<ClaimId>,
        attempt: u32,
    },
}

impl Step {
    /// The stage after this step of a job with this number of attempts; `None` if the reply is
    /// wrong at this stage.
    pub(super) fn after(self, stage: Stage, attempts: u32) -> Option<Stage> {
        match (self, stage) {
            (Self::Inserted { is_new: true, .. }, Stage::Absent) => {
                Some(Stage::Waiting { attempt: 0, most: attempts })
            }
            (Self::Claimed { claim, attempt }, Stage::Waiting { attempt: before, most }) => {
                let is_next = attempt == before + 1 && attempt <= most;
                is_next.then_some(Stage::Running { claim: Some(claim), attempt, most })
            }
            (
                Self::Settled { claim, ending, answer: SettleAnswer::Done },
                Stage::Running { claim: Some(holder), attempt, most },
            ) if claim == holder => Some(ending.leaves(claim, attempt, most)),
            (Self::Cancelled(CancelAnswer::Cancelled), Stage::Waiting { attempt, .. }) => {
                Some(Stage::Ended { state: JobState::Cancelled, claim: None, attempt })
            }
            (Self::Retried(RetryAnswer::Retried), Stage::Ended { attempt, .. }) => {
                Some(Stage::Waiting { attempt, most: attempt.saturating_add(attempts) })
            }
            (Self::Rescued, Stage::Running { attempt, most, .. }) if attempt >= most => {
                Some(Stage::Ended { state: JobState::Dead, claim: None, attempt })
            }
            (Self::Rescued, Stage::Running { attempt, most, .. }) => Some(Stage::Waiting { attempt, most }),
            (Self::Pruned, Stage::Ended { .. }) => Some(Stage::Absent),
            _ => self.is_true_of(stage).then_some(stage),
        }
    }

    /// Whether the reply is right, for an operation that changes nothing.
    fn is_true_of(self, stage: Stage) -> bool {
        match self {
            Self::Inserted { is_new, .. } => !is_new && stage != Stage::Absent,
            Self::Leased { claim, attempt } => match stage {
                Stage::Running { claim: Some(holder), attempt: charged, .. } if holder == claim => {
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
            Self::Retried(reply) => match stage {
                Stage::Absent => reply == RetryAnswer::NotFound,
                Stage::Waiting { .. } => {
                    matches!(reply, RetryAnswer::Unfinished(state) if is_waiting(state))
                }
                Stage::Running { .. } => reply == RetryAnswer::Unfinished(JobState::Running),
                Stage::Ended { .. } => reply == RetryAnswer::KeyHeld,
            },
            Self::Read(seen) => seen.map_or(stage == Stage::Absent, |seen| seen.is(stage)),
            Self::Claimed { .. } | Self::Rescued | Self::Pruned => false,
        }
    }

    /// The attempt that the step names.
    pub(super) const fn attempt(self) -> Option<u32> {
        match self {
            Self::Claimed { attempt, .. } => Some(attempt),
            Self::Leased { attempt, .. } => attempt,
            Self::Read(Some(seen)) => Some(seen.attempt),
            _ => None,
        }
    }

    /// The claim that the step names.
    pub(super) fn claim(self) -> Option<ClaimId> {
        match self {
            Self::Claimed { claim, .. } | Self::Settled { claim, .. } => Some(claim),
            Self::Leased { claim, attempt } => attempt.map(|_| claim),
            Self::Read(seen) => seen.and_then(|seen| seen.claim.flatten()),
            Self::Inserted { .. } | Self::Cancelled(_) | Self::Retried(_) | Self::Rescued | Self::Pruned => {
                None
            }
        }
    }
}

impl Ending {
    /// The stage after this settlement of the lease.
    fn leaves(self, claim: ClaimId, attempt: u32, most: u32) -> Stage {
        let ended = |state| Stage::Ended { state, claim: Some(claim), attempt };
        match self {
            Self::Complete(_) => ended(JobState::Completed),
            Self::Bury => ended(JobState::Dead),
            Self::Cancel => ended(JobState::Cancelled),
            Self::Retry if attempt >= most => ended(JobState::Dead),
            Self::Retry => Stage::Waiting { attempt, most },
            Self::Snooze | Self::Release => Stage::Waiting { attempt: attempt.saturating_sub(1), most },
        }
    }

    /// Whether this settlement may end the job in this state.
    const fn ends_as(self, state: JobState) -> bool {
        matches!(
            (self, state),
            (Self::Complete(_), JobState::Completed)
                | (Self::Bury | Self::Retry, JobState::Dead)
                | (Self::Cancel, JobState::Cancelled)
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
            Stage::Waiting { attempt, .. } => is_waiting(self.state) && fits(None, attempt),
            Stage::Running { claim, attempt, .. } => self.state == JobState::Running && fits(claim, attempt),
            Stage::Ended { state, claim, attempt } => self.state == state && fits(claim, attempt),
        }
    }
}

const fn is_waiting(state: JobState) -> bool {
    matches!(state, JobState::Scheduled | JobState::Ready | JobState::Retrying)
}
