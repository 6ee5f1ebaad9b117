//! The row of an unfinished job, and its index entries.

use std::time::Duration;

use queue_core::backend::Hint;
use queue_core::{
    ClaimId, JobId, JobSpec, JobState, Kind, Progress, QueueName, Result, Timestamp, Token, WorkerId,
};
use redb::ReadableTable;

use super::{AsId as _, Outcome, claim_id, job_id, state, time, worker_id};
use crate::error::{Doing as _, Stored as _, corrupt};
use crate::layout::{Id, LeaseValue, LiveValue, ReadyKey, WaitingKey};
use crate::tables::Tables;

/// The row of an unfinished job.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) priority: i16,
    pub(crate) state: JobState,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) max_retries: u16,
    /// A cancel was requested. This stays set until the job is finished.
    pub(crate) cancel_wanted: bool,
    /// The lease; `Some` if and only if the job is running.
    pub(crate) lease: Option<Lease>,
}

/// A worker's right to run and settle one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) claim: ClaimId,
    pub(crate) worker: WorkerId,
    pub(crate) deadline: Timestamp,
    pub(crate) progress: Option<Progress>,
}

impl Live {
    /// Creates the row of a job that is inserted at `now`.
    pub(crate) fn new(spec: &JobSpec, now: Timestamp) -> Self {
        let run_at = spec.run_at.unwrap_or(now);
        Self {
            queue: spec.queue.clone(),
            kind: spec.kind.clone(),
            priority: spec.priority,
            state: if run_at <= now { JobState::Ready } else { JobState::Scheduled },
            run_at,
            attempt: 0,
            max_retries: spec.max_retries,
            cancel_wanted: false,
            lease: None,
        }
    }

    /// Returns whether the current or last attempt is the last permitted one.
    pub(crate) fn has_used_all_attempts(&self) -> bool {
        self.attempt > u32::from(self.max_retries)
    }

    /// Returns the lease if it has this token. This is the fence of every settle.
    pub(crate) fn lease_of(&self, token: Token) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.claim == token.claim)
    }

    /// Returns the row without its lease, in this state.
    pub(crate) fn freed(&self, state: JobState, run_at: Timestamp) -> Self {
        Self { state, run_at, lease: None, ..self.clone() }
    }

    /// Returns the hint that wakes workers.
    pub(crate) fn hint(&self, now: Timestamp) -> Hint {
        let is_ready = self.state == JobState::Ready;
        let due_in = if is_ready { Duration::ZERO } else { now.until(self.run_at) };
        Hint::new(self.queue.clone(), self.priority, self.run_at).due_in(due_in)
    }

    fn ready_key(&self, id: JobId) -> <ReadyKey as redb::Value>::SelfType<'_> {
        // The complement inverts the order, so that higher priorities come first.
        (self.queue.as_str(), self.kind.as_str(), !self.priority, self.run_at.as_micros(), id.as_id())
    }

    fn waiting_key(&self, id: JobId) -> <WaitingKey as redb::Value>::SelfType<'_> {
        (self.queue.as_str(), self.run_at.as_micros(), id.as_id())
    }

    /// Reads a row.
    pub(crate) fn read<'v>(value: <LiveValue as redb::Value>::SelfType<'v>) -> Result<Self> {
        let (queue, kind, priority, word, run_at, attempt, max_retries, cancel_wanted, lease) = value;
        Ok(Self {
            queue: QueueName::new(queue).stored()?,
            kind: Kind::new(kind).stored()?,
            priority,
            state: state(word)?,
            run_at: time(run_at)?,
            attempt,
            max_retries,
            cancel_wanted,
            lease: lease.map(Lease::read).transpose()?,
        })
    }

    fn write(&self) -> <LiveValue as redb::Value>::SelfType<'_> {
        (
            self.queue.as_str(),
            self.kind.as_str(),
            self.priority,
            self.state.as_str(),
            self.run_at.as_micros(),
            self.attempt,
            self.max_retries,
            self.cancel_wanted,
            self.lease.as_ref().map(Lease::write),
        )
    }
}

impl Lease {
    fn read((claim, worker, deadline, progress): LeaseValue) -> Result<Self> {
        Ok(Self {
            claim: claim_id(claim),
            worker: worker_id(worker),
            deadline: time(deadline)?,
            progress: progress.map(|(done, total)| Progress { done, total }),
        })
    }

    fn write(&self) -> LeaseValue {
        let progress = self.progress.as_ref().map(|progress| (progress.done, progress.total));
        (self.claim.as_id(), self.worker.as_id(), self.deadline.as_micros(), progress)
    }
}

/// Reads the live row of a job.
pub(crate) fn live(rows: &impl ReadableTable<Id, LiveValue>, id: JobId) -> Result<Option<Live>> {
    let row = rows.get(id.as_id()).doing("read a job's state")?;
    row.map(|row| Live::read(row.value())).transpose()
}

/// Every change of a live row uses one of these functions, because they also update the indexes.
impl Tables<'_> {
    /// Reads the live row of a job that is in an index.
    pub(crate) fn indexed(&self, id: JobId) -> Result<Live> {
        live(&*self.live, id)?.ok_or_else(|| corrupt(format!("an index names job {id}, which is not live")))
    }

    /// Returns the jobs that a worker holds by one claim, or by all claims.
    pub(crate) fn held_by(&self, worker: WorkerId, claim: Option<ClaimId>) -> Result<Vec<JobId>> {
        let worker = worker.as_id();
        let (first, last) = claim.map_or((Id::MIN, Id::MAX), |claim| (claim.as_id(), claim.as_id()));
        let range = (worker, first, Id::MIN)..=(worker, last, Id::MAX);
        self.leases.keys(range, |(_, _, id)| job_id(id))?.collect()
    }

    pub(crate) fn add_live(&mut self, id: JobId, new: &Live) -> Result<()> {
        self.live.put(id.as_id(), new.write())?;
        match (new.state, &new.lease) {
            (JobState::Ready, _) => self.ready.put(new.ready_key(id), ()),
            (JobState::Running, Some(lease)) => {
                self.leases.put((lease.worker.as_id(), lease.claim.as_id(), id.as_id()), ())?;
                self.deadlines.put((lease.deadline.as_micros(), id.as_id()), ())
            }
            _ => self.waiting.put(new.waiting_key(id), ()),
        }
    }

    pub(crate) fn change_live(&mut self, id: JobId, old: &Live, new: &Live) -> Result<()> {
        self.remove_from_indexes(id, old)?;
        self.add_live(id, new)
    }

    /// Replaces the live row by an outcome.
    pub(crate) fn finish(&mut self, id: JobId, old: &Live, outcome: &Outcome) -> Result<()> {
        self.remove_from_indexes(id, old)?;
        self.live.remove(id.as_id())?;
        self.add_outcome(id, outcome)
    }

    fn remove_from_indexes(&mut self, id: JobId, old: &Live) -> Result<()> {
        match (old.state, &old.lease) {
            (JobState::Ready, _) => self.ready.remove(old.ready_key(id)),
            (JobState::Running, Some(lease)) => {
                self.leases.remove((lease.worker.as_id(), lease.claim.as_id(), id.as_id()))?;
                self.deadlines.remove((lease.deadline.as_micros(), id.as_id()))
            }
            _ => self.waiting.remove(old.waiting_key(id)),
        }
    }
}
