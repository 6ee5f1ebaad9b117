//! A storage that hesitates before it acts and before it answers, so that there is something to drop.

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertRequest, LeasesRequest, MaintainReply, MaintainRequest,
    ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest, SettleRequest, Settled,
    WakeReceiver,
};
use queue_core::{Backend, MemoryBackend, Result, Submitted};

#[derive(Debug, Clone, Default)]
pub(crate) struct Hesitant(pub(crate) MemoryBackend);

impl Hesitant {
    async fn hesitates<T>(&self, answer: impl Future<Output = T>) -> T {
        tokio::task::yield_now().await;
        let answer = answer.await;
        tokio::task::yield_now().await;
        answer
    }

    pub(crate) async fn jobs(&self) -> usize {
        self.0.extensions().audit.unwrap().stored().await.unwrap().jobs.len()
    }
}

#[async_trait]
impl Backend for Hesitant {
    fn name(&self) -> &'static str {
        "hesitant"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        self.hesitates(self.0.insert(request)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.hesitates(self.0.claim(request)).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.hesitates(self.0.ready_queues(request)).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.hesitates(self.0.leases(request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.hesitates(self.0.settle(request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.hesitates(self.0.cancel(request)).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.hesitates(self.0.register(request)).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.hesitates(self.0.heartbeat(request)).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.hesitates(self.0.retire(request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.hesitates(self.0.maintain(request)).await
    }

    fn subscribe(&self) -> WakeReceiver {
        self.0.subscribe()
    }

    fn extensions(&self) -> Extensions<'_> {
        self.0.extensions()
    }
}
