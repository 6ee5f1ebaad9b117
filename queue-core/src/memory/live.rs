//! The row of an unfinished job.

use crate::{ClaimId, Progress, Timestamp, WorkerId};

/// The fields that change while a job is unfinished.
pub(super) struct Live {
    pub(super) state: LiveState,
    pub(super) run_at: Timestamp,
    pub(super) attempt: u32,
    /// That of the job, or more after a retry by hand.
    pub(super) max_retries: u16,
    /// A cancel was requested. This outlives the lease, because otherwise a rescue would undo the
    /// cancel.
    pub(super) cancel_wanted: bool,
    /// Its end is announced.
    pub(super) is_watched: bool,
}

impl Live {
    /// The row of a job without charged attempts.
    pub(super) const fn new(state: LiveState, run_at: Timestamp, max_retries: u16) -> Self {
        Self { state, run_at, attempt: 0, max_retries, cancel_wanted: false, is_watched: false }
    }
}

/// The states of an unfinished job.
pub(super) enum LiveState {
    Scheduled,
    Retrying,
    Ready,
    Running(Lease),
}

/// A worker's right to run and settle one attempt.
pub(super) struct Lease {
    pub(super) claim: ClaimId,
    pub(super) worker: WorkerId,
    pub(super) deadline: Timestamp,
    pub(super) progress: Option<Progress>,
}
