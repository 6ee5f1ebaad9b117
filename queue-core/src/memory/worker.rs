//! Registration, heartbeats and retirement of workers.

use super::store::{LiveState, Store, Worker, WorkerStatus};
use crate::backend::{Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest};
use crate::{Error, ErrorKind, JobId, Result, Timestamp, WorkerId};

impl Store {
    pub(super) fn register(&mut self, now: Timestamp, request: &RegisterRequest) -> Result<()> {
        let id = request.worker;
        if self.workers.contains_key(&id) {
            let message = format!("a worker with the id {id} was registered before");
            return Err(Error::new(ErrorKind::Conflict, "register a worker", message));
        }
        let worker = Worker {
            status: WorkerStatus::Registered,
            expires_at: now.saturating_add(request.expiry),
            expiry: request.expiry,
        };
        self.workers.insert(id, worker);
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, now: Timestamp, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.check_worker(request.worker, "renew a worker")?;
        let beat = self.extend(request.worker, now);
        for report in request.progress {
            self.report(report);
        }
        let held: Vec<JobId> = self.index.held_by(request.worker).collect();
        let is_wanted = |id: &JobId| self.live.get(id).is_some_and(|live| live.cancel_wanted);
        let cancels = held.iter().copied().filter(is_wanted).collect();
        let leases = u64::try_from(held.len()).unwrap_or(u64::MAX);
        let next_due = self.index.first_waiting().map(|(due, _)| now.until(due));
        Ok(HeartbeatReply::new(beat, cancels, leases, next_due))
    }

    /// Extends the expiry, never to an earlier time. Returns whether the heartbeat was in time.
    fn extend(&mut self, worker: WorkerId, now: Timestamp) -> Beat {
        let Some(row) = self.workers.get_mut(&worker) else { return Beat::Late };
        let beat = if row.expires_at <= now { Beat::Late } else { Beat::InTime };
        row.expires_at = row.expires_at.max(now.saturating_add(row.expiry));
        beat
    }

    /// Returns whether a worker is registered and not expired.
    pub(super) fn is_in_time(&self, worker: WorkerId, now: Timestamp) -> bool {
        let row = self.workers.get(&worker);
        row.is_some_and(|row| row.status == WorkerStatus::Registered && row.expires_at > now)
    }

    fn report(&mut self, report: ProgressReport) {
        if let Some(live) = self.live.get_mut(&report.token.job)
            && let LiveState::Running(lease) = &mut live.state
            && lease.claim == report.token.claim
        {
            lease.progress = Some(report.progress);
        }
    }

    pub(super) fn retire(&mut self, id: WorkerId) {
        if self.index.held_by(id).next().is_none()
            && let Some(worker) = self.workers.get_mut(&id)
            && worker.status == WorkerStatus::Registered
        {
            worker.status = WorkerStatus::Retired;
        }
    }
}
