//! The row of an unfinished job.

use crate::{ClaimId, Progress, Timestamp, WorkerId};

/// What changes while a job is unfinished.
pub(super) struct Live {
    pub(super) stage: Stage,
    pub(super) run_at: Timestamp,
    pub(super) attempt: u32,
    /// Somebody wants it cancelled. The wish outlives a lease, or a rescue would undo the cancel.
    pub(super) cancel_wanted: bool,
}

/// The states of an unfinished job.
pub(super) enum Stage {
    Scheduled,
    Retrying,
    Ready,
    Running(Lease),
}

/// The right of a worker to run and settle one attempt.
pub(super) struct Lease {
    pub(super) claim: ClaimId,
    pub(super) worker: WorkerId,
    pub(super) deadline: Timestamp,
    pub(super) progress: Option<Progress>,
}
