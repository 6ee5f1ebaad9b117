//! Operations of workers and maintenance.

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

    /// Sends a heartbeat of a worker.
    pub(crate) async fn heartbeat(&self, worker: WorkerId) -> anyhow::Result<HeartbeatReply> {
        Ok(self.backend()?.heartbeat(HeartbeatRequest::new(worker).at(self.now())).await?)
    }

    /// Whether the worker is lost. The check is a heartbeat, so it extends a worker that is not
    /// lost.
    pub(crate) async fn is_lost(&self, worker: WorkerId) -> anyhow::Result<bool> {
        match self.backend()?.heartbeat(HeartbeatRequest::new(worker).at(self.now())).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WorkerLost => Ok(true),
            Err(error) => Err(error).context("a heartbeat failed with another error than `WorkerLost`"),
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

    /// Rescues up to `limit` jobs.
    pub(crate) async fn rescue(&self, limit: u32) -> anyhow::Result<MaintainReply> {
        self.maintain(MaintainRequest::rescue(limit)).await
    }

    /// Prunes finished jobs.
    pub(crate) async fn prune(&self, prune: Prune) -> anyhow::Result<MaintainReply> {
        self.maintain(MaintainRequest::prune(prune)).await
    }

    pub(crate) async fn maintain(&self, request: MaintainRequest) -> anyhow::Result<MaintainReply> {
        Ok(self.backend()?.maintain(request.at(self.now())).await?)
    }
}
