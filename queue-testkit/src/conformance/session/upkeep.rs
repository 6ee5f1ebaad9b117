//! Workers, and upkeep.

use anyhow::Context as _;
use queue_core::backend::{
    HeartbeatReply, HeartbeatRequest, MaintainReply, MaintainRequest, ProgressReport, Prune, RegisterRequest,
    RetireRequest,
};
use queue_core::{ErrorKind, Progress, Token, WorkerId};

use super::{EXPIRY, Session};

impl Session {
    /// Registers a new worker that expires after [`EXPIRY`].
    pub(crate) async fn worker(&self) -> anyhow::Result<WorkerId> {
        let worker = self.new_worker_id();
        self.backend()?.register(RegisterRequest::new(worker, "kit", EXPIRY).at(self.now())).await?;
        Ok(worker)
    }

    /// Says that a worker lives.
    pub(crate) async fn heartbeat(&self, worker: WorkerId) -> anyhow::Result<HeartbeatReply> {
        Ok(self.backend()?.heartbeat(HeartbeatRequest::new(worker).at(self.now())).await?)
    }

    /// Whether the worker was given up. One that was not is extended by the question.
    pub(crate) async fn is_lost(&self, worker: WorkerId) -> anyhow::Result<bool> {
        match self.backend()?.heartbeat(HeartbeatRequest::new(worker).at(self.now())).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WorkerLost => Ok(true),
            Err(error) => Err(error).context("a heartbeat failed otherwise than by the worker's loss"),
        }
    }

    /// Reports progress under a token with a worker's heartbeat.
    pub(crate) async fn report_progress(
        &self,
        worker: WorkerId,
        token: Token,
        done: u64,
    ) -> anyhow::Result<()> {
        let mut request = HeartbeatRequest::new(worker).at(self.now());
        request.progress.push(ProgressReport::new(token, Progress { done, total: 100 }));
        self.backend()?.heartbeat(request).await?;
        Ok(())
    }

    pub(crate) async fn retire(&self, worker: WorkerId) -> anyhow::Result<()> {
        Ok(self.backend()?.retire(RetireRequest::new(worker)).await?)
    }

    /// Makes up to `limit` due jobs ready.
    pub(crate) async fn promote(&self, limit: u32) -> anyhow::Result<MaintainReply> {
        self.maintain(MaintainRequest::promote(limit)).await
    }

    /// Takes back up to `limit` leases.
    pub(crate) async fn rescue(&self, limit: u32) -> anyhow::Result<MaintainReply> {
        self.maintain(MaintainRequest::rescue(limit)).await
    }

    /// Removes old finished jobs.
    pub(crate) async fn prune(&self, prune: Prune) -> anyhow::Result<MaintainReply> {
        self.maintain(MaintainRequest::prune(prune)).await
    }

    pub(crate) async fn maintain(&self, request: MaintainRequest) -> anyhow::Result<MaintainReply> {
        Ok(self.backend()?.maintain(request.at(self.now())).await?)
    }
}
