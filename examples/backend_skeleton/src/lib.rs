//! A storage backend without operations, to copy as the start of a new one.
//!
//! Each operation fails with an error that names it, so that the conformance suite says which one
//! to write next. The guide *Writing a backend* (`docs/writing-a-backend.md`) begins here.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use queue_core::backend::{
    Audit, Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob,
    Extensions, HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobRecord,
    LeasesRequest, ListRequest, MaintainReply, MaintainRequest, NextReady, RegisterRequest, RetireRequest,
    SettleRequest, Settled, Stored, WakeHub, WakeReceiver,
};
use queue_core::{Error, ErrorKind, JobId, QueueName, Result};

/// Jobs in a storage that is not written yet.
#[derive(Debug)]
pub struct SkeletonBackend {
    path: PathBuf,
    hub: WakeHub,
}

impl SkeletonBackend {
    /// Opens the storage, and creates it if it does not exist.
    ///
    /// # Errors
    /// None yet. The error of a storage that cannot be opened must be a [`queue_core::Error`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { path: path.as_ref().to_owned(), hub: WakeHub::new() })
    }

    /// Returns the path of the storage.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The error of a method that is not written yet. `operation` completes the phrase "failed to …".
fn unwritten<T>(method: &str, operation: &'static str) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, operation, format!("`Backend::{method}` is not written yet")))
}

#[async_trait]
impl Backend for SkeletonBackend {
    fn name(&self) -> &str {
        "skeleton"
    }

    // Declare each property once its cases are to run.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn insert(&self, _request: InsertRequest) -> Result<InsertReply> {
        unwritten("insert", "insert jobs")
    }

    async fn claim(&self, _request: ClaimRequest) -> Result<ClaimReply> {
        unwritten("claim", "claim jobs")
    }

    async fn leases(&self, _request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        unwritten("leases", "read the leases of a claim")
    }

    async fn settle(&self, _request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        unwritten("settle", "settle jobs")
    }

    async fn cancel(&self, _request: CancelRequest) -> Result<Vec<CancelReply>> {
        unwritten("cancel", "cancel jobs")
    }

    async fn register(&self, _request: RegisterRequest) -> Result<()> {
        unwritten("register", "register a worker")
    }

    async fn heartbeat(&self, _request: HeartbeatRequest) -> Result<HeartbeatReply> {
        unwritten("heartbeat", "send a heartbeat")
    }

    async fn retire(&self, _request: RetireRequest) -> Result<()> {
        unwritten("retire", "retire a worker")
    }

    async fn maintain(&self, _request: MaintainRequest) -> Result<MaintainReply> {
        unwritten("maintain", "maintain the storage")
    }

    // After each commit, announce its `WakeHints` by `self.hub.announce_all`.
    fn subscribe(&self) -> WakeReceiver {
        self.hub.subscribe()
    }

    // The suite needs these two: by them it sees what is stored.
    fn extensions(&self) -> Extensions<'_> {
        Extensions::none().inspect(self).audit(self)
    }
}

#[async_trait]
impl Inspect for SkeletonBackend {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        Ok(vec![None; ids.len()])
    }

    async fn list(&self, _request: ListRequest) -> Result<Vec<JobRecord>> {
        Ok(Vec::new())
    }

    async fn next_ready(&self, _queues: &[QueueName]) -> Result<Vec<NextReady>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Audit for SkeletonBackend {
    async fn stored(&self) -> Result<Stored> {
        Ok(Stored::default())
    }
}
