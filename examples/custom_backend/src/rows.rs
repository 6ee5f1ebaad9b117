//! The rows as checked types, because the tables store tuples.

mod attempts;
mod job;
mod live;
mod outcome;
mod worker;

use std::time::Duration;

use queue_core::{ClaimId, JobId, JobState, Result, Timestamp, WorkerId};

pub(crate) use attempts::attempt_errors;
pub(crate) use job::{JobRow, job};
pub(crate) use live::{Lease, Live, live};
pub(crate) use outcome::{Outcome, outcome};
pub(crate) use worker::{WorkerRow, worker};

use crate::error::{Stored as _, corrupt};
use crate::layout::{Id, Length, Micros};

/// Converts an id to its stored form.
pub(crate) trait AsId {
    fn as_id(&self) -> Id;
}

impl AsId for JobId {
    fn as_id(&self) -> Id {
        Id::from_be_bytes(self.to_bytes())
    }
}

impl AsId for WorkerId {
    fn as_id(&self) -> Id {
        Id::from_be_bytes(self.to_bytes())
    }
}

impl AsId for ClaimId {
    fn as_id(&self) -> Id {
        Id::from_be_bytes(self.to_bytes())
    }
}

pub(crate) fn job_id(id: Id) -> JobId {
    JobId::from_bytes(id.to_be_bytes())
}

pub(crate) fn worker_id(id: Id) -> WorkerId {
    WorkerId::from_bytes(id.to_be_bytes())
}

fn claim_id(id: Id) -> ClaimId {
    ClaimId::from_bytes(id.to_be_bytes())
}

pub(crate) fn time(micros: Micros) -> Result<Timestamp> {
    Timestamp::from_micros(micros).stored()
}

fn state(word: &str) -> Result<JobState> {
    let known = JobState::ALL.iter().copied().find(|state| state.as_str() == word);
    known.ok_or_else(|| corrupt(format!("there is no state `{word}`")))
}

fn length(duration: Duration) -> Length {
    (duration.as_secs(), duration.subsec_nanos())
}

fn duration((seconds, nanos): Length) -> Duration {
    Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into()))
}
