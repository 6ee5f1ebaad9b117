//! The orders in which jobs are looked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::live::{Live, Stage};
use crate::{JobId, JobSpec, Kind, QueueName, State, Timestamp, WorkerId};

/// A job in the order of its time.
pub(super) type Position = (Timestamp, JobId);

/// The ready jobs of one priority, in the order in which they are claimed.
pub(super) type Level = BTreeMap<Position, Kind>;

/// Each live row stands in exactly one of `ready` and `waiting`, or in both `deadlines` and `held`.
#[derive(Default)]
pub(super) struct Index {
    /// The most urgent priority comes first.
    pub(super) ready: BTreeMap<QueueName, BTreeMap<Reverse<i16>, Level>>,
    /// Scheduled and retrying jobs.
    pub(super) waiting: BTreeMap<QueueName, BTreeSet<Position>>,
    /// Running jobs, by the deadline of their lease.
    pub(super) deadlines: BTreeSet<Position>,
    /// Running jobs, by the worker that holds them.
    pub(super) held: BTreeMap<WorkerId, BTreeSet<JobId>>,
    /// Finished jobs, by the time of their end.
    pub(super) finished: BTreeMap<State, BTreeSet<Position>>,
}

impl Index {
    pub(super) fn add(&mut self, job: &JobSpec, live: &Live) {
        let position = (live.run_at, job.id);
        match &live.stage {
            Stage::Ready => {
                let levels = self.ready.entry(job.queue.clone()).or_default();
                levels.entry(Reverse(job.priority)).or_default().insert(position, job.kind.clone());
            }
            Stage::Scheduled | Stage::Retrying => {
                self.waiting.entry(job.queue.clone()).or_default().insert(position);
            }
            Stage::Running(lease) => {
                self.deadlines.insert((lease.deadline, job.id));
                self.held.entry(lease.worker).or_default().insert(job.id);
            }
        }
    }

    pub(super) fn remove(&mut self, job: &JobSpec, live: &Live) {
        let position = (live.run_at, job.id);
        match &live.stage {
            Stage::Ready => self.remove_ready(job, position),
            Stage::Scheduled | Stage::Retrying => {
                remove(&mut self.waiting, &job.queue, |queue| queue.remove(&position), BTreeSet::is_empty);
            }
            Stage::Running(lease) => {
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

    pub(super) fn add_finished(&mut self, state: State, position: Position) {
        self.finished.entry(state).or_default().insert(position);
    }

    /// The jobs that a worker holds.
    pub(super) fn held_by(&self, worker: WorkerId) -> impl Iterator<Item = JobId> {
        self.held.get(&worker).into_iter().flatten().copied()
    }

    /// When the first waiting job of a queue is due.
    pub(super) fn due_in_queue(&self, queue: &QueueName) -> Option<Timestamp> {
        self.waiting.get(queue)?.first().map(|(run_at, _)| *run_at)
    }

    /// The first waiting job of all, with its time.
    pub(super) fn first_waiting(&self) -> Option<Position> {
        self.waiting.values().filter_map(BTreeSet::first).min().copied()
    }
}

/// Takes something out of the group of `key`, and the group with the last of it.
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
