//! Workers with special parameters, and the check that a handle works.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{HeartbeatReply, HeartbeatRequest, RegisterRequest};
use queue_core::{JobState, WorkerId};

use super::{Session, complete};

/// Maximum number of claims that return no job because of concurrent claims.
const MOST_CLAIMS: u32 = 100;

impl Session {
    /// Registers a new worker that is lost this long after its last heartbeat.
    pub(crate) async fn worker_expiring_after(&self, expiry: Duration) -> anyhow::Result<WorkerId> {
        let worker = self.new_worker_id();
        self.backend()?.register(RegisterRequest::new(worker, "kit", expiry).at(self.now())).await?;
        Ok(worker)
    }

    /// Registers a worker under this id. Returns an error of the backend.
    pub(crate) async fn try_register(&self, worker: WorkerId) -> anyhow::Result<queue_core::Result<()>> {
        let request = RegisterRequest::new(worker, "kit", super::EXPIRY).at(self.now());
        Ok(self.backend()?.register(request).await)
    }

    /// Sends a heartbeat of a worker. Returns an error of the backend.
    pub(crate) async fn try_heartbeat(
        &self,
        worker: WorkerId,
    ) -> anyhow::Result<queue_core::Result<HeartbeatReply>> {
        Ok(self.backend()?.heartbeat(HeartbeatRequest::new(worker).at(self.now())).await)
    }

    /// Checks that the handle works: inserts, claims and settles a job in a queue that only this
    /// method uses. If other handles do the same concurrently, the job may be one of theirs.
    pub(crate) async fn works(&self) -> anyhow::Result<()> {
        let worker = self.worker().await?;
        self.insert_one(self.spec("works").queue("works")).await?;
        let mut jobs = Vec::new();
        // Concurrent callers may claim each other's jobs. There is one job per caller, but a claim
        // that skips locked jobs may return none.
        for _ in 0..MOST_CLAIMS {
            jobs = self.claiming(worker, 1).queue("works").kinds(&["works"]).take().await?.jobs;
            if !jobs.is_empty() {
                break;
            }
        }
        ensure!(jobs.len() == 1, "a claim on the handle returned {} jobs instead of 1", jobs.len());
        let token = jobs[0].token;
        self.settle_one(token, complete()).await?;
        let state = self.state(token.job).await?;
        ensure!(
            state == JobState::Completed,
            "a job that was settled on the handle is {state}, not completed"
        );
        self.retire(worker).await
    }
}
