//! The indexes of live and finished jobs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::live::{Live, LiveState};
use crate::{JobId, JobSpec, JobState, Kind, QueueName, Timestamp, WorkerId};

/// The position of a job in an index that is sorted by time.
pub(super) type Position = (Timestamp, JobId);

/// The ready jobs of one priority, in claim order.
pub(super) type Level = BTreeMap<Position, Kind>;

/// Each live row is in `ready`, or in `waiting`, or in both `deadlines` and `held`.
#[derive(Default)]
pub(super) struct Index {
    /// Ready jobs, the most urgent priority first.
    pub(super) ready: BTreeMap<QueueName, BTreeMap<Reverse<i16>, Level>>,
    /// Scheduled and retrying jobs.
    pub(super) waiting: BTreeMap<QueueName, BTreeSet<Position>>,
    /// Running jobs by the deadline of their lease.
    pub(super) deadlines: BTreeSet<Position>,
    /// Running jobs by the worker that holds them.
    pub(super) held: BTreeMap<WorkerId, BTreeSet<JobId>>,
    /// Finished jobs by the time when they were finished.
    pub(super) finished: BTreeMap<JobState, BTreeSet<Position>>,
}

impl Index {
    pub(super) fn add(&mut self, job: &JobSpec, live: &Live) {
        let position = (live.run_at, job.id);
        match &live.state {
            LiveState::Ready => {
                let levels = self.ready.entry(job.queue.clone()).or_default();
                levels.entry(Reverse(job.priority)).or_default().insert(position, job.kind.clone());
            }
            LiveState::Scheduled | LiveState::Retrying => {
                self.waiting.entry(job.queue.clone()).or_default().insert(position);
            }
            LiveState::Running(lease) => {
                self.deadlines.insert((lease.deadline, job.id));
                self.held.entry(lease.worker).or_default().insert(job.id);
            }
        }
    }

    pub(super) fn remove(&mut self, job: &JobSpec, live: &Live) {
        let position = (live.run_at, job.id);
        match &live.state {
            LiveState::Ready => self.remove_ready(job, position),
            LiveState::Scheduled | LiveState::Retrying => {
                remove(&mut self.waiting, &job.queue, |queue| queue.remove(&position), BTreeSet::is_empty);
            }
            LiveState::Running(lease) => {
                self.deadlines.remove(&(lease.deadline, job.id));
                remove(&mut self.held, &lease.worker, |jobs| jobs.remove(&job.id), BTreeSet::is_empty);
            }
        }
    }

    fn remove_ready(&mut self, job: &JobSpec, position: Position) {
        let Some(levels) = self.ready.get_mut(&job.queue) else { return };
        let priority = Reverse(job.priority);
        remove(levels, &priority, |level| level.remove(&position).is_some(), BTreeMap::is_empty);
        if levels.is_empty() {
            self.ready.remove(&job.queue);
        }
    }

    pub(super) fn add_finished(&mut self, state: JobState, position: Position) {
        self.finished.entry(state).or_default().insert(position);
    }

    pub(super) fn remove_finished(&mut self, state: JobState, position: Position) {
        remove(&mut self.finished, &state, |jobs| jobs.remove(&position), BTreeSet::is_empty);
    }

    /// Returns the jobs that a worker holds.
    pub(super) fn held_by(&self, worker: WorkerId) -> impl Iterator<Item = JobId> {
        self.held.get(&worker).into_iter().flatten().copied()
    }

    /// Returns when the first waiting job of a queue is due.
    pub(super) fn due_in_queue(&self, queue: &QueueName) -> Option<Timestamp> {
        self.waiting.get(queue)?.first().map(|(run_at, _)| *run_at)
    }

    /// Returns the first waiting job of all queues, with its time.
    pub(super) fn first_waiting(&self) -> Option<Position> {
        self.waiting.values().filter_map(BTreeSet::first).min().copied()
    }
}

/// Removes an entry from the group of `key`, and the group if it is empty then.
fn remove<K: Ord, G>(
    groups: &mut BTreeMap<K, G>,
    key: &K,
    take: impl FnOnce(&mut G) -> bool,
    is_empty: impl FnOnce(&G) -> bool,
) {
    if let Some(group) = groups.get_mut(key)
        && take(group)
        && is_empty(group)
    {
        groups.remove(key);
    }
}
