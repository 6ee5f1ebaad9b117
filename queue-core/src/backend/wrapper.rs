//! A backend that wraps another backend.

use std::fmt;

use async_trait::async_trait;

use super::{
    Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, LeasesRequest, MaintainReply,
    MaintainRequest, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest, SettleRequest,
    Settled, WakeReceiver,
};
use crate::Result;

/// A backend that forwards each method to another backend unless it overrides the method. It is for
/// logs, metrics and tests.
///
/// ```
/// use async_trait::async_trait;
/// use queue_core::backend::{Backend, InsertReply, InsertRequest, Wrapper};
/// use queue_core::{MemoryBackend, Result};
///
/// #[derive(Debug)]
/// struct Logged(MemoryBackend);
///
/// #[async_trait]
/// impl Wrapper for Logged {
///     fn inner(&self) -> &dyn Backend {
///         &self.0
///     }
///
///     async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
///         let reply = self.inner().insert(request).await?;
///         println!("{} batches", reply.batches.len());
///         Ok(reply)
///     }
/// }
///
/// let backend: Box<dyn Backend> = Box::new(Logged(MemoryBackend::new()));
/// assert_eq!(backend.name(), "memory");
/// ```
#[async_trait]
pub trait Wrapper: fmt::Debug + Send + Sync + 'static {
    /// The backend that is wrapped.
    fn inner(&self) -> &dyn Backend;

    /// As [`Backend::name`].
    fn name(&self) -> &str {
        self.inner().name()
    }

    /// As [`Backend::capabilities`].
    fn capabilities(&self) -> Capabilities {
        self.inner().capabilities()
    }

    /// As [`Backend::insert`].
    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.inner().insert(request).await
    }

    /// As [`Backend::claim`].
    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.inner().claim(request).await
    }

    /// As [`Backend::ready_queues`].
    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.inner().ready_queues(request).await
    }

    /// As [`Backend::leases`].
    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.inner().leases(request).await
    }

    /// As [`Backend::settle`].
    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.inner().settle(request).await
    }

    /// As [`Backend::cancel`].
    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.inner().cancel(request).await
    }

    /// As [`Backend::register`].
    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.inner().register(request).await
    }

    /// As [`Backend::heartbeat`].
    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.inner().heartbeat(request).await
    }

    /// As [`Backend::retire`].
    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.inner().retire(request).await
    }

    /// As [`Backend::maintain`].
    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.inner().maintain(request).await
    }

    /// As [`Backend::subscribe`].
    fn subscribe(&self) -> WakeReceiver {
        self.inner().subscribe()
    }

    /// As [`Backend::extensions`].
    fn extensions(&self) -> Extensions<'_> {
        self.inner().extensions()
    }
}

#[async_trait]
impl<W: Wrapper> Backend for W {
    fn name(&self) -> &str {
        Wrapper::name(self)
    }

    fn capabilities(&self) -> Capabilities {
        Wrapper::capabilities(self)
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        Wrapper::insert(self, request).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        Wrapper::claim(self, request).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        Wrapper::ready_queues(self, request).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        Wrapper::leases(self, request).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        Wrapper::settle(self, request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        Wrapper::cancel(self, request).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        Wrapper::register(self, request).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        Wrapper::heartbeat(self, request).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        Wrapper::retire(self, request).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        Wrapper::maintain(self, request).await
    }

    fn subscribe(&self) -> WakeReceiver {
        Wrapper::subscribe(self)
    }

    fn extensions(&self) -> Extensions<'_> {
        Wrapper::extensions(self)
    }
}
