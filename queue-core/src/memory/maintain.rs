//! Upkeep: promote, rescue, prune.

use std::collections::BTreeSet;

use super::store::{Ending, Stage, Standing, Store};
use crate::backend::{DEADLINE_PASSED_ERROR, MaintainReply, MaintainRequest, Prune, WORKER_LOST_ERROR};
use crate::{JobId, QueueName, State, Timestamp, WorkerId};

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

    /// Makes up to `limit` jobs ready that are due, the longest overdue first.
    fn promote(&mut self, now: Timestamp, limit: u32) -> u64 {
        let mut promoted = 0;
        while promoted < u64::from(limit)
            && let Some((due, id)) = self.index.first_waiting()
            && due <= now
        {
            self.change(id, |live| live.stage = Stage::Ready);
            self.tell(id, now);
            promoted += 1;
        }
        promoted
    }

    /// Makes all jobs of a queue ready that are due, and says which.
    pub(super) fn promote_queue(&mut self, now: Timestamp, queue: &QueueName) -> Vec<JobId> {
        let waiting = self.index.waiting.get(queue).into_iter().flatten();
        let due: Vec<JobId> = waiting.take_while(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
        for id in &due {
            self.change(*id, |live| live.stage = Stage::Ready);
        }
        due
    }

    /// Takes back up to `limit` leases: those of dead workers, then those past their deadline.
    fn rescue(&mut self, now: Timestamp, limit: u32, reply: &mut MaintainReply) {
        let taken = |reply: &MaintainReply| reply.rescued + reply.died;
        let limit = u64::from(limit);
        for worker in self.given_up_or_expired(now) {
            if taken(reply) >= limit {
                return;
            }
            reply.workers_lost += self.give_up(worker);
            let held: Vec<JobId> = self.index.held_by(worker).collect();
            for id in held {
                if taken(reply) >= limit {
                    return;
                }
                self.take_back(id, now, WORKER_LOST_ERROR, reply);
            }
        }
        while taken(reply) < limit
            && let Some(&(deadline, id)) = self.index.deadlines.first()
            && deadline <= now
        {
            self.take_back(id, now, DEADLINE_PASSED_ERROR, reply);
        }
    }

    /// Workers whose expiry is not after `now`, and those given up before that still have leases.
    fn given_up_or_expired(&self, now: Timestamp) -> Vec<WorkerId> {
        let is_due = |(id, worker): &(&WorkerId, &super::store::Worker)| match worker.standing {
            Standing::Registered => worker.expires_at <= now,
            Standing::Lost => self.index.held.contains_key(*id),
            Standing::Retired => false,
        };
        self.workers.iter().filter(is_due).map(|(id, _)| *id).collect()
    }

    /// Gives a worker up for good; 1 if it had not been before.
    fn give_up(&mut self, id: WorkerId) -> u64 {
        match self.workers.get_mut(&id) {
            Some(worker) if worker.standing == Standing::Registered => {
                worker.standing = Standing::Lost;
                1
            }
            _ => 0,
        }
    }

    /// Ends a lease whose worker does not. The attempt stays charged.
    fn take_back(&mut self, id: JobId, now: Timestamp, error: &str, reply: &mut MaintainReply) {
        self.record_error(id, now, error.to_owned());
        if self.has_used_all_attempts(id) {
            // Not the claim's doing: its own settle must still be answered "lease lost".
            let error = Some(error.to_owned());
            self.finish(id, now, Ending { state: State::Dead, claim: None, result: None, error });
            reply.died += 1;
        } else {
            self.change(id, |live| live.stage = Stage::Ready);
            self.tell(id, now);
            reply.rescued += 1;
        }
    }

    /// Removes finished jobs that nothing protects any more.
    fn prune(&mut self, now: Timestamp, prune: &Prune) -> u64 {
        let protected = JobId::least_at(now.saturating_sub(prune.idempotency_window));
        let limit = usize::try_from(prune.limit).unwrap_or(usize::MAX);
        let ended_before = |state| now.saturating_sub(prune.retention(state).unwrap_or_default());
        let old: Vec<(State, (Timestamp, JobId))> = self
            .index
            .finished
            .iter()
            .flat_map(|(&state, jobs)| old_ones(jobs, ended_before(state)).map(move |place| (state, place)))
            .filter(|(_, (_, id))| *id < protected)
            .take(limit)
            .collect();
        for (state, place) in &old {
            self.remove_finished(*state, *place);
        }
        u64::try_from(old.len()).unwrap_or(u64::MAX)
    }

    fn remove_finished(&mut self, state: State, place: (Timestamp, JobId)) {
        if let Some(places) = self.index.finished.get_mut(&state) {
            places.remove(&place);
        }
        let id = place.1;
        self.outcomes.remove(&id);
        self.attempt_errors.remove(&id);
        self.jobs.remove(&id);
    }
}

fn old_ones(
    jobs: &BTreeSet<(Timestamp, JobId)>,
    before: Timestamp,
) -> impl Iterator<Item = (Timestamp, JobId)> {
    jobs.range(..(before, JobId::from_bytes([0; 16]))).copied()
}
