//! Claims of the model.

use std::cmp::Reverse;
use std::time::Duration;

use queue_core::backend::{ClaimRequest, ClaimedJob};
use queue_core::{ClaimId, JobId, QueueName, Timestamp, WorkerId};

use super::{Job, Lease, Model, Standing};

/// The worker is not registered, or not any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WorkerLost;

impl Model {
    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        request: &ClaimRequest,
    ) -> Result<Vec<ClaimedJob>, WorkerLost> {
        self.check_worker(request.worker)?;
        let mut taken = Vec::new();
        if self.paused.contains(&request.queue) {
            return Ok(taken);
        }
        let mut last_attempts = 0;
        for id in self.candidates(now, request) {
            let Some(job) = self.job(id) else { continue };
            let is_last = job.attempt + 1 == job.max_attempts();
            if taken.len() == request.limit as usize || (is_last && last_attempts == request.last_attempts) {
                break;
            }
            last_attempts += u32::from(is_last);
            job.attempt += 1;
            job.state = queue_core::State::Running;
            job.lease = Some(Lease {
                claim: request.claim,
                worker: request.worker,
                deadline: now.saturating_add(job.spec.timeout + request.grace),
                progress: None,
            });
            taken.push(claimed(job, request.claim));
        }
        Ok(taken)
    }

    /// The jobs that the claim may take, in order.
    fn candidates(&self, now: Timestamp, request: &ClaimRequest) -> Vec<JobId> {
        let mut jobs: Vec<&Job> = self
            .jobs
            .iter()
            .filter(|job| job.spec.queue == request.queue && request.kinds.contains(&job.spec.kind))
            .filter(|job| job.can_be_claimed(now))
            .collect();
        jobs.sort_by_key(|job| (Reverse(job.spec.priority), job.run_at, job.spec.id));
        jobs.into_iter().map(|job| job.spec.id).collect()
    }

    /// Whether there are jobs for the claim, and their queue is paused.
    pub(super) fn holds_back(&self, now: Timestamp, request: &ClaimRequest) -> bool {
        self.paused.contains(&request.queue) && !self.candidates(now, request).is_empty()
    }

    /// Whether a job that the claim could have gone on with is one attempt from its end.
    pub(super) fn has_ready_last_attempt(&self, now: Timestamp, request: &ClaimRequest) -> bool {
        if self.paused.contains(&request.queue) {
            return false;
        }
        let next = self.candidates(now, request).into_iter().next();
        let next = self.jobs.iter().find(|job| Some(job.spec.id) == next);
        next.is_some_and(|job| job.attempt + 1 == job.max_attempts())
    }

    pub(super) fn leases(&self, worker: WorkerId, claim: ClaimId) -> Vec<ClaimedJob> {
        let is_held = |job: &&Job| {
            job.lease.as_ref().is_some_and(|lease| lease.worker == worker && lease.claim == claim)
        };
        let mut jobs: Vec<&Job> = self.jobs.iter().filter(is_held).collect();
        jobs.sort_by_key(|job| (Reverse(job.spec.priority), job.run_at, job.spec.id));
        jobs.into_iter().map(|job| claimed(job, claim)).collect()
    }

    pub(super) fn check_worker(&self, id: WorkerId) -> Result<(), WorkerLost> {
        let is_good = |worker: &super::Worker| worker.id == id && worker.standing == Standing::Registered;
        if self.workers.iter().any(is_good) { Ok(()) } else { Err(WorkerLost) }
    }

    /// How long until the first job that is not due yet is due, of one queue or of all.
    pub(super) fn next_due(&self, now: Timestamp, queue: Option<&QueueName>) -> Option<Duration> {
        let jobs = self.jobs.iter().filter(|job| queue.is_none_or(|queue| job.spec.queue == *queue));
        jobs.filter(|job| job.is_waiting() && job.run_at > now).map(|job| now.until(job.run_at)).min()
    }

    pub(super) fn has_overdue(&self, now: Timestamp) -> bool {
        self.jobs.iter().any(|job| job.is_waiting() && job.run_at <= now)
    }
}

fn claimed(job: &Job, claim: ClaimId) -> ClaimedJob {
    ClaimedJob::new(claim, job.attempt, job.run_at, job.spec.clone())
}
