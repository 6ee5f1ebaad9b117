//! Taking ready jobs for a worker.

use std::collections::HashSet;
use std::time::Duration;

use super::store::{Lease, Live, Stage, Standing, Store};
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
                live.stage = Stage::Running(lease);
            });
            jobs.extend(self.claimed(id));
        }
        for id in promoted {
            self.tell_if_ready(id, now);
        }
        let next_due = self.index.due_in_queue(&request.queue).map(|due| now.until(due));
        Ok(ClaimReply::new(jobs, next_due))
    }

    /// Which of these queues have a ready job of one of the kinds, or a waiting one that is due.
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

    /// The live leases of one claim, in the order of a claim.
    pub(super) fn leases(&self, request: &LeasesRequest) -> Vec<ClaimedJob> {
        let held = self.index.held_by(request.worker).filter_map(|id| self.claimed(id));
        let mut jobs: Vec<ClaimedJob> = held.filter(|job| job.token.claim == request.claim).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.run_at, job.token.job));
        jobs
    }

    /// Fails unless the worker is registered and not given up.
    pub(super) fn check_worker(&self, worker: WorkerId, operation: &'static str) -> Result<()> {
        match self.workers.get(&worker) {
            Some(row) if row.standing == Standing::Registered => Ok(()),
            Some(_) => {
                let message = format!("worker {worker} was given up or has retired");
                Err(Error::new(ErrorKind::WorkerLost, operation, message))
            }
            None => {
                let message = format!("worker {worker} is not registered");
                Err(Error::new(ErrorKind::WorkerLost, operation, message))
            }
        }
    }

    /// The jobs to take, in order. A job that was promoted and now lies in the future,
    /// since the clock went back, waits like any other.
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

    /// Whether the next attempt is the last permitted one.
    fn is_before_last_attempt(&self, id: JobId) -> bool {
        let row = self.jobs.get(&id).zip(self.live.get(&id));
        row.is_some_and(|(job, live)| live.attempt + 1 >= job.spec.max_attempts())
    }

    fn claimed(&self, id: JobId) -> Option<ClaimedJob> {
        let (job, live) = (self.jobs.get(&id)?, self.live.get(&id)?);
        Some(claimed_job(&job.spec, live, live.lease()?))
    }

    fn tell_if_ready(&mut self, id: JobId, now: Timestamp) {
        if self.live.get(&id).is_some_and(|live| matches!(live.stage, Stage::Ready)) {
            self.tell(id, now);
        }
    }
}

fn claimed_job(spec: &JobSpec, live: &Live, lease: &Lease) -> ClaimedJob {
    ClaimedJob::new(lease.claim, live.attempt, live.run_at, spec.clone())
}
