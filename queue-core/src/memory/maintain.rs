//! Upkeep: promote, rescue, prune.

use std::collections::BTreeSet;

use super::store::{Ending, LiveState, Store, WorkerStatus};
use crate::backend::{DEADLINE_PASSED_ERROR, MaintainReply, MaintainRequest, Prune, WORKER_LOST_ERROR};
use crate::{JobId, JobState, QueueName, Timestamp, WorkerId};

impl Store {
    pub(super) fn maintain(&mut self, now: Timestamp, request: &MaintainRequest) -> MaintainReply {
        let mut reply = MaintainReply { promoted: self.promote(now, request.promote), ..Default::default() };
        if request.worker.is_none_or(|worker| self.is_in_time(worker, now)) {
            self.rescue(now, request.rescue, &mut reply);
        }
        if let Some(prune) = &request.prune {
            reply.pruned = self.prune(now, prune);
        }
        reply.ready = self.hints.ready();
        reply.next_due = self.index.first_waiting().map(|(due, _)| now.until(due));
        reply
    }

    /// Promotes up to `limit` due jobs, the longest overdue first.
    fn promote(&mut self, now: Timestamp, limit: u32) -> u64 {
        let mut promoted = 0;
        while promoted < u64::from(limit)
            && let Some((due, id)) = self.index.first_waiting()
            && due <= now
        {
            self.change(id, |live| live.state = LiveState::Ready);
            self.announce(id, now);
            promoted += 1;
        }
        promoted
    }

    /// Promotes all due jobs of a queue, and returns them.
    pub(super) fn promote_queue(&mut self, now: Timestamp, queue: &QueueName) -> Vec<JobId> {
        let waiting = self.index.waiting.get(queue).into_iter().flatten();
        let due: Vec<JobId> = waiting.take_while(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
        for id in &due {
            self.change(*id, |live| live.state = LiveState::Ready);
        }
        due
    }

    /// Rescues up to `limit` leases: first those of dead workers, then those past their deadline.
    fn rescue(&mut self, now: Timestamp, limit: u32, reply: &mut MaintainReply) {
        let taken = |reply: &MaintainReply| reply.rescued + reply.died;
        let limit = u64::from(limit);
        for worker in self.lost_or_expired(now) {
            if taken(reply) >= limit {
                return;
            }
            reply.workers_lost += self.mark_lost(worker);
            let held: Vec<JobId> = self.index.held_by(worker).collect();
            for id in held {
                if taken(reply) >= limit {
                    return;
                }
                self.rescue_one(id, now, WORKER_LOST_ERROR, reply);
            }
        }
        while taken(reply) < limit
            && let Some(&(deadline, id)) = self.index.deadlines.first()
            && deadline <= now
        {
            self.rescue_one(id, now, DEADLINE_PASSED_ERROR, reply);
        }
    }

    /// Returns workers whose expiry is not after `now`, and lost workers that still have leases.
    fn lost_or_expired(&self, now: Timestamp) -> Vec<WorkerId> {
        let is_due = |(id, worker): &(&WorkerId, &super::store::Worker)| match worker.status {
            WorkerStatus::Registered => worker.expires_at <= now,
            WorkerStatus::Lost => self.index.held.contains_key(*id),
            WorkerStatus::Retired => false,
        };
        self.workers.iter().filter(is_due).map(|(id, _)| *id).collect()
    }

    /// Marks a worker lost. Returns the number of workers whose status changed.
    fn mark_lost(&mut self, id: WorkerId) -> u64 {
        match self.workers.get_mut(&id) {
            Some(worker) if worker.status == WorkerStatus::Registered => {
                worker.status = WorkerStatus::Lost;
                1
            }
            _ => 0,
        }
    }

    /// Ends a lease without its worker. The attempt stays charged.
    fn rescue_one(&mut self, id: JobId, now: Timestamp, error: &str, reply: &mut MaintainReply) {
        self.record_error(id, now, error.to_owned(), None);
        if self.has_used_all_attempts(id) {
            // Without the claim, so that a later settle of its worker returns `LeaseLost`.
            let error = Some(error.to_owned());
            self.finish(id, now, Ending { state: JobState::Dead, claim: None, result: None, error });
            reply.died += 1;
        } else {
            self.change(id, |live| live.state = LiveState::Ready);
            self.announce(id, now);
            reply.rescued += 1;
        }
    }

    /// Removes finished jobs whose retention and idempotency window are over.
    fn prune(&mut self, now: Timestamp, prune: &Prune) -> u64 {
        let protected = JobId::least_at(now.saturating_sub(prune.idempotency_window));
        let limit = usize::try_from(prune.limit).unwrap_or(usize::MAX);
        let ended_before = |state| now.saturating_sub(prune.retention(state).unwrap_or_default());
        let old: Vec<(JobState, (Timestamp, JobId))> = self
            .index
            .finished
            .iter()
            .flat_map(|(&state, jobs)| {
                finished_before(jobs, ended_before(state)).map(move |position| (state, position))
            })
            .filter(|(_, (_, id))| *id < protected)
            .take(limit)
            .collect();
        for (state, position) in &old {
            self.remove_finished(*state, *position);
        }
        self.unique_keys.retain(|_, key| key.until.is_none_or(|until| now < until));
        u64::try_from(old.len()).unwrap_or(u64::MAX)
    }

    fn remove_finished(&mut self, state: JobState, position: (Timestamp, JobId)) {
        self.index.remove_finished(state, position);
        let id = position.1;
        self.outcomes.remove(&id);
        self.attempt_errors.remove(&id);
        self.jobs.remove(&id);
    }
}

fn finished_before(
    jobs: &BTreeSet<(Timestamp, JobId)>,
    before: Timestamp,
) -> impl Iterator<Item = (Timestamp, JobId)> {
    jobs.range(..(before, JobId::from_bytes([0; 16]))).copied()
}
