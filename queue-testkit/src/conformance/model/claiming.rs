//! Claims of the model.

use std::cmp::Reverse;
use std::time::Duration;

use queue_core::backend::{ClaimRequest, ClaimedJob};
use queue_core::{ClaimId, JobId, QueueName, Timestamp, WorkerId};

use super::{Job, Lease, Model, WorkerState};

/// The worker is not registered, lost or retired.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WorkerLost;

impl Model {
    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        request: &ClaimRequest,
    ) -> Result<Vec<ClaimedJob>, WorkerLost> {
        self.check_worker(request.worker)?;
        let mut claimed_jobs = Vec::new();
        if self.paused.contains(&request.queue) {
            return Ok(claimed_jobs);
        }
        let mut last_attempts = 0;
        for id in self.candidates(now, request) {
            let Some(job) = self.job(id) else { continue };
            let is_last = job.attempt + 1 == job.max_attempts();
            if claimed_jobs.len() == request.limit as usize
                || (is_last && last_attempts == request.last_attempts)
            {
                break;
            }
            last_attempts += u32::from(is_last);
            job.attempt += 1;
            job.state = queue_core::JobState::Running;
            job.lease = Some(Lease {
                claim: request.claim,
                worker: request.worker,
                deadline: now.saturating_add(job.spec.timeout + request.grace),
                progress: None,
            });
            claimed_jobs.push(claimed(job, request.claim));
        }
        Ok(claimed_jobs)
    }

    /// The jobs that the claim may return, in order.
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

    /// Whether a pause of the queue hides jobs from the claim.
    pub(super) fn holds_back(&self, now: Timestamp, request: &ClaimRequest) -> bool {
        self.paused.contains(&request.queue) && !self.candidates(now, request).is_empty()
    }

    /// Whether the next job that the claim could have returned is on its last attempt.
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
        let is_good = |worker: &super::Worker| worker.id == id && worker.state == WorkerState::Registered;
        if self.workers.iter().any(is_good) { Ok(()) } else { Err(WorkerLost) }
    }

    /// Time until the next job of one queue, or of all, is due.
    pub(super) fn next_due(&self, now: Timestamp, queue: Option<&QueueName>) -> Option<Duration> {
        let jobs = self.jobs.iter().filter(|job| queue.is_none_or(|queue| job.spec.queue == *queue));
        jobs.filter(|job| job.is_waiting() && job.run_at > now).map(|job| now.until(job.run_at)).min()
    }

    pub(super) fn has_overdue(&self, now: Timestamp) -> bool {
        self.jobs.iter().any(|job| job.is_waiting() && job.run_at <= now)
    }
}

fn claimed(job: &Job, claim: ClaimId) -> ClaimedJob {
    ClaimedJob::new(claim, job.attempt, job.run_at, job.spec.clone().max_retries(job.max_retries))
}
