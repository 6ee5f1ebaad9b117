//! Claims of ready jobs.

use std::collections::HashSet;
use std::time::Duration;

use super::store::{Lease, Live, LiveState, Store, WorkerStatus};
use crate::backend::{
    ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest, ReadyQueuesReply, ReadyQueuesRequest,
};
use crate::{Error, ErrorKind, JobId, JobSpec, Kind, QueueName, Result, Timestamp, WorkerId};

impl Store {
    pub(super) fn claim(&mut self, now: Timestamp, request: &ClaimRequest) -> Result<ClaimReply> {
        self.check_worker(request.worker, "claim jobs")?;
        let promoted = self.promote_queue(now, &request.queue);
        let picked = self.pick(now, request);
        let mut jobs = Vec::with_capacity(picked.len());
        for id in picked {
            let lease = self.lease(id, now, request);
            self.change(id, |live| {
                live.attempt += 1;
                live.state = LiveState::Running(lease);
            });
            jobs.extend(self.claimed(id));
        }
        for id in promoted {
            self.announce_if_ready(id, now);
        }
        let next_due = self.index.due_in_queue(&request.queue).map(|due| now.until(due));
        Ok(ClaimReply::new(jobs, next_due))
    }

    /// Returns the queues that have a ready job of one of the kinds, or a due waiting job.
    pub(super) fn ready_queues(&self, now: Timestamp, request: ReadyQueuesRequest) -> ReadyQueuesReply {
        let mut reply = ReadyQueuesReply::default();
        for queue in request.queues {
            let due = self.index.due_in_queue(&queue).map(|due| now.until(due));
            if due.is_some_and(|due| due.is_zero()) || self.is_ready(&queue, &request.kinds) {
                reply.queues.push(queue);
            } else {
                reply.next_due = reply.next_due.into_iter().chain(due).min();
            }
        }
        reply
    }

    fn is_ready(&self, queue: &QueueName, kinds: &[Kind]) -> bool {
        let levels = self.index.ready.get(queue).filter(|_| !self.paused.contains(queue));
        levels.into_iter().flatten().flat_map(|(_, level)| level.values()).any(|kind| kinds.contains(kind))
    }

    /// Returns the live leases of one claim, in the order of a claim.
    pub(super) fn leases(&self, request: &LeasesRequest) -> Vec<ClaimedJob> {
        let held = self.index.held_by(request.worker).filter_map(|id| self.claimed(id));
        let mut jobs: Vec<ClaimedJob> = held.filter(|job| job.token.claim == request.claim).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.run_at, job.token.job));
        jobs
    }

    /// Fails if the worker is lost, retired or not registered.
    pub(super) fn check_worker(&self, worker: WorkerId, operation: &'static str) -> Result<()> {
        match self.workers.get(&worker) {
            Some(row) if row.status == WorkerStatus::Registered => Ok(()),
            Some(_) => {
                let message = format!("worker {worker} is lost or has retired");
                Err(Error::new(ErrorKind::WorkerLost, operation, message))
            }
            None => {
                let message = format!("worker {worker} is not registered");
                Err(Error::new(ErrorKind::WorkerLost, operation, message))
            }
        }
    }

    /// Returns the jobs to claim, in order. A promoted job is skipped if it is not due, because the
    /// clock can jump back.
    fn pick(&self, now: Timestamp, request: &ClaimRequest) -> Vec<JobId> {
        if self.paused.contains(&request.queue) {
            return Vec::new();
        }
        let kinds: HashSet<_> = request.kinds.iter().collect();
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let last = (now, JobId::from_bytes([0xff; 16]));
        let mut last_attempts = 0;
        let mut picked = Vec::new();
        for (_, level) in self.index.ready.get(&request.queue).into_iter().flatten() {
            for (&(_, id), kind) in level.range(..=last) {
                if picked.len() == limit {
                    return picked;
                }
                if !kinds.contains(kind) {
                    continue;
                }
                if self.is_before_last_attempt(id) {
                    if last_attempts == request.last_attempts {
                        return picked;
                    }
                    last_attempts += 1;
                }
                picked.push(id);
            }
        }
        picked
    }

    fn lease(&self, id: JobId, now: Timestamp, request: &ClaimRequest) -> Lease {
        let timeout = self.jobs.get(&id).map_or(Duration::ZERO, |job| job.spec.timeout);
        Lease {
            claim: request.claim,
            worker: request.worker,
            deadline: now.saturating_add(timeout.saturating_add(request.grace)),
            progress: None,
        }
    }

    /// Returns whether the next attempt is the last permitted one.
    fn is_before_last_attempt(&self, id: JobId) -> bool {
        self.live.get(&id).is_some_and(|live| live.attempt >= u32::from(live.max_retries))
    }

    fn claimed(&self, id: JobId) -> Option<ClaimedJob> {
        let (job, live) = (self.jobs.get(&id)?, self.live.get(&id)?);
        Some(claimed_job(&job.spec, live, live.lease()?))
    }

    fn announce_if_ready(&mut self, id: JobId, now: Timestamp) {
        if self.live.get(&id).is_some_and(|live| matches!(live.state, LiveState::Ready)) {
            self.announce(id, now);
        }
    }
}

fn claimed_job(spec: &JobSpec, live: &Live, lease: &Lease) -> ClaimedJob {
    let job = spec.clone().max_retries(live.max_retries);
    ClaimedJob::new(lease.claim, live.attempt, live.run_at, job)
}
