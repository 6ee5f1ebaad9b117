//! Worker operations and maintenance of the model.

use std::collections::BTreeSet;
use std::time::Duration;

use queue_core::backend::{Beat, ProgressReport, Prune};
use queue_core::{JobId, JobState, Timestamp, WorkerId};

use super::claiming::WorkerLost;
use super::{ANY_TEXT, Job, Model, Reason, Worker, WorkerState};

/// The expected reply to a heartbeat.
#[derive(Debug)]
pub(super) struct ExpectedHeartbeat {
    pub(super) beat: Beat,
    /// The worker's jobs that a cancel has signalled.
    pub(super) cancels: BTreeSet<JobId>,
    pub(super) leases: u64,
}

/// The expected reply to a rescue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rescued {
    pub(super) rescued: u64,
    pub(super) died: u64,
    pub(super) workers_lost: u64,
}

impl Model {
    pub(super) fn register(&mut self, now: Timestamp, id: WorkerId, expiry: Duration) {
        let expires_at = now.saturating_add(expiry);
        self.workers.push(Worker { id, state: WorkerState::Registered, expires_at, expiry });
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Timestamp,
        id: WorkerId,
        progress: &[ProgressReport],
    ) -> Result<ExpectedHeartbeat, WorkerLost> {
        self.check_worker(id)?;
        let mut beat = Beat::InTime;
        for worker in self.workers.iter_mut().filter(|worker| worker.id == id) {
            if worker.expires_at <= now {
                beat = Beat::Late;
            }
            worker.expires_at = worker.expires_at.max(now.saturating_add(worker.expiry));
        }
        for report in progress {
            let lease = self.job(report.token.job).and_then(|job| job.lease.as_mut());
            if let Some(lease) = lease.filter(|lease| lease.claim == report.token.claim) {
                lease.progress = Some(report.progress.clone());
            }
        }
        let mut expected = ExpectedHeartbeat { beat, cancels: BTreeSet::new(), leases: 0 };
        let is_held = |job: &&Job| job.lease.as_ref().is_some_and(|lease| lease.worker == id);
        for job in self.jobs.iter().filter(is_held) {
            expected.leases += 1;
            if job.cancel_wanted {
                expected.cancels.insert(job.spec.id);
            }
        }
        Ok(expected)
    }

    pub(super) fn retire(&mut self, id: WorkerId) {
        if !self.holds_any(id) {
            let workers = self.workers.iter_mut().filter(|worker| worker.id == id);
            for worker in workers.filter(|worker| worker.state == WorkerState::Registered) {
                worker.state = WorkerState::Retired;
            }
        }
    }

    pub(super) fn is_retired(&self, id: WorkerId) -> bool {
        self.workers.iter().any(|worker| worker.id == id && worker.state == WorkerState::Retired)
    }

    /// The registered workers, which may claim.
    pub(super) fn registered(&self) -> Vec<WorkerId> {
        let workers = self.workers.iter().filter(|worker| worker.state == WorkerState::Registered);
        workers.map(|worker| worker.id).collect()
    }

    /// The worker of each lease, so that a worker may occur several times.
    pub(super) fn holders(&self) -> Vec<WorkerId> {
        self.jobs.iter().filter_map(|job| Some(job.lease.as_ref()?.worker)).collect()
    }

    /// The worker of each lease that a cancel has signalled.
    pub(super) fn signalled(&self) -> Vec<WorkerId> {
        let jobs = self.jobs.iter().filter(|job| job.cancel_wanted);
        jobs.filter_map(|job| Some(job.lease.as_ref()?.worker)).collect()
    }

    pub(super) fn holds_any(&self, id: WorkerId) -> bool {
        self.holders().contains(&id)
    }

    /// A rescue without a limit.
    pub(super) fn rescue(&mut self, now: Timestamp) -> Rescued {
        let mut done = Rescued::default();
        for worker in &mut self.workers {
            if worker.state == WorkerState::Registered && worker.expires_at <= now {
                worker.state = WorkerState::Lost;
                done.workers_lost += 1;
            }
        }
        let lost = |id: WorkerId| {
            self.workers.iter().any(|worker| worker.id == id && worker.state == WorkerState::Lost)
        };
        let is_over = |job: &&mut Job| {
            job.lease.as_ref().is_some_and(|lease| lease.deadline <= now || lost(lease.worker))
        };
        for job in self.jobs.iter_mut().filter(is_over) {
            job.fail(now, ANY_TEXT, None);
            if job.attempt == job.max_attempts() {
                job.finish(JobState::Dead, now, None, Reason::Any);
                done.died += 1;
            } else {
                job.lease = None;
                job.state = JobState::Ready;
                done.rescued += 1;
            }
        }
        done
    }

    /// A prune without a limit.
    pub(super) fn prune(&mut self, now: Timestamp, prune: &Prune) -> usize {
        let before = self.jobs.len();
        let oldest_kept = JobId::least_at(now.saturating_sub(prune.idempotency_window));
        self.jobs.retain(|job| {
            let (Some(retention), Some(finished_at)) = (prune.retention(job.state), job.finished_at) else {
                return true;
            };
            finished_at >= now.saturating_sub(retention) || job.spec.id >= oldest_kept
        });
        before - self.jobs.len()
    }
}
