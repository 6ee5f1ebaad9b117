//! The tables, and the basic changes from which all operations are built.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::index::Index;
pub(super) use super::live::{Lease, Live, LiveState};
use super::schedule_table::ScheduleTable;
use crate::backend::{AttemptError, Hint, WakeHints};
use crate::{ClaimId, JobId, JobSpec, JobState, Kind, QueueName, Timestamp, Token, WorkerId};

/// All rows, and the hints of the transaction that holds the lock.
#[derive(Default)]
pub(super) struct Store {
    /// Every job.
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Every unfinished job.
    pub(super) live: BTreeMap<JobId, Live>,
    /// Every finished job.
    pub(super) outcomes: BTreeMap<JobId, Outcome>,
    /// The errors of failed attempts.
    pub(super) attempt_errors: BTreeMap<JobId, Vec<AttemptError>>,
    /// Every worker that ever registered, so that no id is registered again.
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    /// Queues from which no job is claimed.
    pub(super) paused: BTreeSet<QueueName>,
    /// The unique keys that are held.
    pub(super) unique_keys: BTreeMap<(Kind, String), HeldKey>,
    /// The schedules.
    pub(super) schedules: ScheduleTable,
    /// The indexes of `live` and `outcomes`.
    pub(super) index: Index,
    /// The announcements to make after the lock is released.
    pub(super) hints: WakeHints,
}

/// The part of a job that never changes.
pub(super) struct Job {
    /// Its `run_at` is always set.
    pub(super) spec: JobSpec,
    pub(super) created_at: Timestamp,
}

/// Who holds a unique key.
pub(super) struct HeldKey {
    pub(super) job: JobId,
    /// When a completed job releases it; `None` while the job is unfinished.
    pub(super) until: Option<Timestamp>,
}

/// How a job ended.
pub(super) struct Outcome {
    pub(super) state: JobState,
    pub(super) finished_at: Timestamp,
    pub(super) attempt: u32,
    /// The claim whose settle ended it.
    pub(super) claim: Option<ClaimId>,
    pub(super) result: Option<Vec<u8>>,
    pub(super) error: Option<String>,
}

/// A worker, its status and its expiry.
pub(super) struct Worker {
    pub(super) status: WorkerStatus,
    pub(super) expires_at: Timestamp,
    pub(super) expiry: Duration,
}

/// Whether a worker may claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerStatus {
    Registered,
    /// A rescue marked it lost, permanently.
    Lost,
    Retired,
}

/// How a job ends, without the fields that its live row has.
pub(super) struct Ending {
    pub(super) state: JobState,
    pub(super) claim: Option<ClaimId>,
    pub(super) result: Option<Vec<u8>>,
    pub(super) error: Option<String>,
}

impl Live {
    pub(super) fn state(&self) -> JobState {
        match self.state {
            LiveState::Scheduled => JobState::Scheduled,
            LiveState::Retrying => JobState::Retrying,
            LiveState::Ready => JobState::Ready,
            LiveState::Running(_) => JobState::Running,
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.state {
            LiveState::Running(lease) => Some(lease),
            LiveState::Scheduled | LiveState::Retrying | LiveState::Ready => None,
        }
    }
}

impl Store {
    /// Adds a live row.
    pub(super) fn insert_live(&mut self, id: JobId, live: Live) {
        if let Some(job) = self.jobs.get(&id) {
            self.index.add(&job.spec, &live);
            self.live.insert(id, live);
        }
    }

    /// Changes a live row and its index entries.
    pub(super) fn change(&mut self, id: JobId, change: impl FnOnce(&mut Live)) {
        if let (Some(job), Some(live)) = (self.jobs.get(&id), self.live.get_mut(&id)) {
            self.index.remove(&job.spec, live);
            change(live);
            self.index.add(&job.spec, live);
        }
    }

    /// Moves a job from `live` to `outcomes`.
    pub(super) fn finish(&mut self, id: JobId, now: Timestamp, ending: Ending) {
        let (Some(job), Some(live)) = (self.jobs.get(&id), self.live.remove(&id)) else { return };
        self.index.remove(&job.spec, &live);
        self.index.add_finished(ending.state, (now, id));
        if live.is_watched {
            self.hints.add_finished(id);
        }
        let outcome = Outcome {
            state: ending.state,
            finished_at: now,
            attempt: live.attempt,
            claim: ending.claim,
            result: ending.result,
            error: ending.error,
        };
        self.outcomes.insert(id, outcome);
        self.release_key(id, now, ending.state);
    }

    /// Releases the unique key of a job that has just ended, now or after the time that it is kept.
    fn release_key(&mut self, id: JobId, now: Timestamp, state: JobState) {
        let Some(Job { spec, .. }) = self.jobs.get(&id) else { return };
        let Some(unique) = &spec.unique else { return };
        let place = (spec.kind.clone(), unique.as_str().to_owned());
        if state == JobState::Completed && !unique.keep().is_zero() {
            let until = Some(now.saturating_add(unique.keep()));
            self.unique_keys.insert(place, HeldKey { job: id, until });
        } else {
            self.unique_keys.remove(&place);
        }
    }

    /// Returns the live row if the token is that of its lease.
    pub(super) fn held(&self, token: Token) -> Option<&Live> {
        self.live.get(&token.job).filter(|live| live.lease().is_some_and(|lease| lease.claim == token.claim))
    }

    /// Records the error of the current attempt, whose lease has not yet ended.
    pub(super) fn record_error(
        &mut self,
        id: JobId,
        now: Timestamp,
        error: String,
        ran_for: Option<Duration>,
    ) {
        let Some(live) = self.live.get(&id) else { return };
        let worker = live.lease().map(|lease| lease.worker);
        let row = AttemptError::new(live.attempt, now, error).duration(ran_for).worker(worker);
        self.attempt_errors.entry(id).or_default().push(row);
    }

    /// Adds a hint that a job is ready, or will be ready later.
    pub(super) fn announce(&mut self, id: JobId, now: Timestamp) {
        if let (Some(job), Some(live)) = (self.jobs.get(&id), self.live.get(&id)) {
            let hint = Hint::new(job.spec.queue.clone(), job.spec.priority, live.run_at);
            self.hints.add(hint.due_in(now.until(live.run_at)));
        }
    }
}
