//! A backend whose operations are noted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::backend::{
    Audit, Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob,
    HeartbeatReply, HeartbeatRequest, InsertRequest, Inspect, LeasesRequest, MaintainReply, MaintainRequest,
    Pause, RegisterRequest, RetireRequest, SettleRequest, Settled, WakeReceiver,
};
use queue_core::{Result, Submitted};

use super::journal::Journal;

/// Passes everything on, and notes it.
pub(crate) struct Recorded {
    inner: Arc<dyn Backend>,
    journal: Arc<Journal>,
    handle: String,
}

impl Recorded {
    /// `handle` is put before each operation; empty for the first handle of a case.
    pub(crate) fn new(inner: Arc<dyn Backend>, journal: Arc<Journal>, handle: impl Into<String>) -> Self {
        Self { inner, journal, handle: handle.into() }
    }

    async fn noted<T: fmt::Debug + Send>(
        &self,
        operation: &str,
        request: &(dyn fmt::Debug + Sync),
        reply: impl Future<Output = T> + Send,
    ) -> T {
        let number = self.journal.asked(&format!("{}{operation}", self.handle), &request);
        let reply = reply.await;
        self.journal.answered(number, &reply);
        reply
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Backend for Recorded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        self.noted("insert", &request.clone(), self.inner.insert(request)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.noted("claim", &request.clone(), self.inner.claim(request)).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.noted("leases", &request.clone(), self.inner.leases(request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.noted("settle", &request.clone(), self.inner.settle(request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.noted("cancel", &request.clone(), self.inner.cancel(request)).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.noted("register", &request.clone(), self.inner.register(request)).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.noted("heartbeat", &request.clone(), self.inner.heartbeat(request)).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.noted("retire", &request.clone(), self.inner.retire(request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.noted("maintain", &request.clone(), self.inner.maintain(request)).await
    }

    fn subscribe(&self) -> WakeReceiver {
        self.inner.subscribe()
    }

    fn pausing(&self) -> Option<&dyn Pause> {
        self.inner.pausing()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }

    fn audit(&self) -> Option<&dyn Audit> {
        self.inner.audit()
    }
}
