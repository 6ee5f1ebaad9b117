//! The row of a finished job.

use queue_core::{ClaimId, JobId, JobState, Result, Timestamp};
use redb::ReadableTable;

use super::{AsId as _, Live, claim_id, state, time};
use crate::error::Doing as _;
use crate::layout::{Id, OutcomeValue};
use crate::tables::Tables;

/// The row of a finished job.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) state: JobState,
    pub(crate) finished_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) max_retries: u16,
    /// The claim whose settle ended the job, so that a repeated settle returns `Done`.
    pub(crate) claim: Option<ClaimId>,
    pub(crate) result: Option<Vec<u8>>,
    pub(crate) error: Option<String>,
}

impl Outcome {
    /// Creates an outcome without claim, result and error.
    pub(crate) fn of(live: &Live, state: JobState, now: Timestamp) -> Self {
        let Live { attempt, max_retries, .. } = *live;
        Self { state, finished_at: now, attempt, max_retries, claim: None, result: None, error: None }
    }

    /// Reads a row.
    pub(crate) fn read<'v>(value: <OutcomeValue as redb::Value>::SelfType<'v>) -> Result<Self> {
        let (word, finished_at, attempt, max_retries, claim, result, error) = value;
        Ok(Self {
            state: state(word)?,
            finished_at: time(finished_at)?,
            attempt,
            max_retries,
            claim: claim.map(claim_id),
            result: result.map(<[u8]>::to_vec),
            error: error.map(str::to_owned),
        })
    }
}

/// Reads the outcome of a job.
pub(crate) fn outcome(rows: &impl ReadableTable<Id, OutcomeValue>, id: JobId) -> Result<Option<Outcome>> {
    let row = rows.get(id.as_id()).doing("read a job's outcome")?;
    row.map(|row| Outcome::read(row.value())).transpose()
}

impl Tables<'_> {
    pub(super) fn add_outcome(&mut self, id: JobId, new: &Outcome) -> Result<()> {
        let (word, finished_at) = (new.state.as_str(), new.finished_at.as_micros());
        let value = (
            word,
            finished_at,
            new.attempt,
            new.max_retries,
            new.claim.map(|claim| claim.as_id()),
            new.result.as_deref(),
            new.error.as_deref(),
        );
        self.outcomes.put(id.as_id(), value)?;
        self.finished.put((word, finished_at, id.as_id()), ())
    }

    /// Removes a finished job with all of its rows.
    pub(crate) fn remove_finished(&mut self, id: JobId, outcome: &Outcome) -> Result<()> {
        for error in super::attempt_errors(&*self.errors, id)? {
            self.errors.remove((id.as_id(), error.attempt))?;
        }
        self.remove_outcome(id, outcome)?;
        self.jobs.remove(id.as_id())
    }

    pub(crate) fn remove_outcome(&mut self, id: JobId, outcome: &Outcome) -> Result<()> {
        self.finished.remove((outcome.state.as_str(), outcome.finished_at.as_micros(), id.as_id()))?;
        self.outcomes.remove(id.as_id())
    }
}
