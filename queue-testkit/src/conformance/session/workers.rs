//! Workers that the kit's usual words do not make.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{HeartbeatReply, HeartbeatRequest, RegisterRequest};
use queue_core::{State, WorkerId};

use super::{Session, complete};

/// How often a claim is made that comes away empty because of others.
const MOST_CLAIMS: u32 = 100;

impl Session {
    /// Registers a new worker that is given up this long after its last heartbeat.
    pub(crate) async fn worker_expiring_after(&self, expiry: Duration) -> anyhow::Result<WorkerId> {
        let worker = self.new_worker_id();
        self.backend()?.register(RegisterRequest::new(worker, "kit", expiry).at(self.now())).await?;
        Ok(worker)
    }

    /// Enters a worker under this id; the backend's answer may be an error.
    pub(crate) async fn try_register(&self, worker: WorkerId) -> anyhow::Result<queue_core::Result<()>> {
        let request = RegisterRequest::new(worker, "kit", super::EXPIRY).at(self.now());
        Ok(self.backend()?.register(request).await)
    }

    /// Says that a worker lives; the backend's answer may be an error.
    pub(crate) async fn try_heartbeat(
        &self,
        worker: WorkerId,
    ) -> anyhow::Result<queue_core::Result<HeartbeatReply>> {
        Ok(self.backend()?.heartbeat(HeartbeatRequest::new(worker).at(self.now())).await)
    }

    /// Takes one job through its life, in a queue that is only for this: the handle works. If others ask
    /// the same at the same time, it may be the job of one of them.
    pub(crate) async fn works(&self) -> anyhow::Result<()> {
        let worker = self.worker().await?;
        self.insert_one(self.spec("works").queue("works")).await?;
        let mut jobs = Vec::new();
        // Handles that do this at the same time take each other's jobs. There is one for each, and yet a claim that
        // passes over what others are just taking may come away empty.
        for _ in 0..MOST_CLAIMS {
            jobs = self.claiming(worker, 1).queue("works").kinds(&["works"]).take().await?.jobs;
            if !jobs.is_empty() {
                break;
            }
        }
        ensure!(jobs.len() == 1, "the handle gives {} jobs instead of 1", jobs.len());
        let token = jobs[0].token;
        self.settle_one(token, complete()).await?;
        let state = self.state(token.job).await?;
        ensure!(state == State::Completed, "the job that the handle took through its life is {state}");
        self.retire(worker).await
    }
}
