//! The backend, with statements before its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertRequest, LeasesRequest, MaintainReply, MaintainRequest,
    ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest, SettleRequest, Settled,
    WakeReceiver,
};
use queue_core::{Result, Submitted};
use queue_sqlite::SqliteBackend;
use rusqlite::Connection;

use crate::subject::connect;

/// What is done on the file before the backend's own statements.
#[async_trait]
pub(crate) trait Before: Send + Sync + 'static {
    async fn settle(&self, _beside: &Beside, _request: &SettleRequest) -> Result<()> {
        Ok(())
    }

    /// A heartbeat was answered.
    async fn beaten(&self) {}

    /// What it did is added to what the backend does.
    async fn maintain(&self, _beside: &Beside, _request: &MaintainRequest) -> Result<MaintainReply> {
        Ok(MaintainReply::default())
    }
}

/// The file, beside the backend.
pub(crate) struct Beside {
    pub(crate) path: PathBuf,
    pub(crate) reached: Arc<AtomicU64>,
}

impl Beside {
    pub(crate) fn run<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        connect(&self.path).and_then(|connection| act(&connection)).unwrap()
    }

    /// Notes rows that were changed.
    pub(crate) fn count(&self, changed: usize) {
        self.reached.fetch_add(u64::try_from(changed).unwrap(), Ordering::SeqCst);
    }
}

/// One handle of the mutant.
pub(crate) struct Mutated {
    pub(crate) sound: SqliteBackend,
    pub(crate) before: Arc<dyn Before>,
    pub(crate) beside: Beside,
}

impl fmt::Debug for Mutated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mutated").field(&self.sound).finish()
    }
}

#[async_trait]
impl Backend for Mutated {
    fn name(&self) -> &str {
        self.sound.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.sound.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        self.sound.insert(request).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.sound.claim(request).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.sound.ready_queues(request).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.sound.leases(request).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.before.settle(&self.beside, &request).await?;
        self.sound.settle(request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.sound.cancel(request).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.sound.register(request).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let reply = self.sound.heartbeat(request).await;
        self.before.beaten().await;
        reply
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.sound.retire(request).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        let before = self.before.maintain(&self.beside, &request).await?;
        let mut reply = self.sound.maintain(request).await?;
        reply.workers_lost += before.workers_lost;
        Ok(reply)
    }

    fn subscribe(&self) -> WakeReceiver {
        self.sound.subscribe()
    }

    fn extensions(&self) -> Extensions<'_> {
        self.sound.extensions()
    }
}
