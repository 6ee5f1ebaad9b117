//! The in-memory backend with a mutation, as a subject of the suite.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    Audit, Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob,
    Extensions, HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobEnd, JobRecord,
    LeasesRequest, ListRequest, MaintainReply, MaintainRequest, Manage, NextReady, ReadyQueuesReply,
    ReadyQueuesRequest, RegisterRequest, RetireRequest, RetryReply, RetryRequest, SettleRequest, Settled,
    Stored, WakeReceiver, Watch,
};
use queue_core::{JobId, QueueName, Result};
use queue_testkit::conformance::{SetupResult, Storage, Subject};

use crate::mutation::{Mutation, Sound};

/// Creates a mutation per storage, because it may keep state about the storage.
pub(crate) type Make = fn() -> Arc<dyn Mutation>;

/// A mutant as a subject of the suite.
pub(crate) struct Mutant {
    pub(crate) make: Make,
    /// How often its fault has occurred, on all its storages.
    pub(crate) reached: Arc<AtomicU64>,
}

#[async_trait]
impl Subject for Mutant {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let sound = Sound::new(Arc::clone(&self.reached));
        Ok(Arc::new(Jobs { sound, mutation: (self.make)(), handles: AtomicU64::new(0) }))
    }
}

/// Keeps its jobs until it is dropped. The suite treats it as durable, and its handles as those of
/// several processes.
struct Jobs {
    sound: Sound,
    mutation: Arc<dyn Mutation>,
    handles: AtomicU64,
}

#[async_trait]
impl Storage for Jobs {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        let handle = self.handles.fetch_add(1, Ordering::SeqCst);
        let sound = self.mutation.open(Sound { handle, ..self.sound.clone() });
        Ok(Arc::new(Mutated { sound, mutation: Arc::clone(&self.mutation) }))
    }
}

struct Mutated {
    sound: Sound,
    mutation: Arc<dyn Mutation>,
}

impl Mutated {
    /// Lets the mutation act before and after an operation.
    async fn around<T>(&self, operation: &'static str, request: impl Future<Output = T>) -> T {
        let _turn = self.mutation.before(operation).await;
        let reply = request.await;
        self.mutation.after(operation).await;
        reply
    }
}

impl fmt::Debug for Mutated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mutated").field(&self.sound.backend).finish()
    }
}

#[async_trait]
impl Backend for Mutated {
    fn name(&self) -> &'static str {
        "mutant"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities =
            Capabilities::default().with_durable().with_multi_process().with_unique_keys().with_follow_ups();
        let capabilities = self.mutation.restrict(capabilities);
        if self.mutation.inserts_and_claims() { capabilities.with_insert_and_claim() } else { capabilities }
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.around("insert", self.mutation.insert(&self.sound, request)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.around("claim", self.mutation.claim(&self.sound, request)).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.around("ready_queues", self.mutation.ready_queues(&self.sound, request)).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.around("leases", self.mutation.leases(&self.sound, request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.around("settle", self.mutation.settle(&self.sound, request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.around("cancel", self.mutation.cancel(&self.sound, request)).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.around("register", self.mutation.register(&self.sound, request)).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.around("heartbeat", self.mutation.heartbeat(&self.sound, request)).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.around("retire", self.mutation.retire(&self.sound, request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.around("maintain", self.mutation.maintain(&self.sound, request)).await
    }

    fn subscribe(&self) -> WakeReceiver {
        self.mutation.subscribe(&self.sound)
    }

    fn extensions(&self) -> Extensions<'_> {
        Extensions::none().inspect(self).watch(self).manage(self).audit(self)
    }
}

#[async_trait]
impl Inspect for Mutated {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        self.around("jobs", self.mutation.jobs(&self.sound, ids)).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.around("list", self.mutation.list(&self.sound, request)).await
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        self.around("next_ready", self.mutation.next_ready(&self.sound, queues)).await
    }
}

#[async_trait]
impl Watch for Mutated {
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        self.around("watch", self.mutation.watch(&self.sound, jobs)).await
    }
}

#[async_trait]
impl Manage for Mutated {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.around("retry", self.mutation.retry(&self.sound, request)).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.around("pause", self.mutation.pause(&self.sound, queue)).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.around("resume", self.mutation.resume(&self.sound, queue)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.around("paused", self.mutation.paused(&self.sound)).await
    }
}

/// The rows as they are: a mutant hides nothing from the audit.
#[async_trait]
impl Audit for Mutated {
    async fn stored(&self) -> Result<Stored> {
        Ok(self.sound.stored().await)
    }
}
