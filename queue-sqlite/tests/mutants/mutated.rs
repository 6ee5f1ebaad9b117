//! Wraps the backend and runs statements before its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::Result;
use queue_core::backend::{
    Backend, HeartbeatReply, HeartbeatRequest, MaintainReply, MaintainRequest, SettleRequest, Settled,
    Wrapper,
};
use queue_sqlite::SqliteBackend;
use rusqlite::Connection;

use crate::subject::connect;

/// The statements that run before the backend's own.
#[async_trait]
pub(crate) trait Before: Send + Sync + 'static {
    async fn settle(&self, _beside: &Beside, _request: &SettleRequest) -> Result<()> {
        Ok(())
    }

    /// Called after a heartbeat.
    async fn after_heartbeat(&self) {}

    /// The reply is added to the backend's reply.
    async fn maintain(&self, _beside: &Beside, _request: &MaintainRequest) -> Result<MaintainReply> {
        Ok(MaintainReply::default())
    }
}

/// Connections to the file of the backend.
pub(crate) struct Beside {
    pub(crate) path: PathBuf,
    pub(crate) reached: Arc<AtomicU64>,
}

impl Beside {
    pub(crate) fn run<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        connect(&self.path).and_then(|connection| act(&connection)).unwrap()
    }

    /// Counts changed rows.
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
impl Wrapper for Mutated {
    fn inner(&self) -> &dyn Backend {
        &self.sound
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.before.settle(&self.beside, &request).await?;
        self.sound.settle(request).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let reply = self.sound.heartbeat(request).await;
        self.before.after_heartbeat().await;
        reply
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        let before = self.before.maintain(&self.beside, &request).await?;
        let mut reply = self.sound.maintain(request).await?;
        reply.workers_lost += before.workers_lost;
        Ok(reply)
    }
}
