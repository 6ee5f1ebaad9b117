//! The in-memory backend on the virtual clock, with a network that delays, loses requests, and loses
//! replies.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    Audit, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, HeartbeatReply,
    HeartbeatRequest, InsertRequest, Inspect, LeasesRequest, MaintainReply, MaintainRequest, Pause,
    RegisterRequest, RetireRequest, SettleRequest, Settled, WakeReceiver,
};
use queue_core::{Backend, Error, ErrorKind, MemoryBackend, Result, Submitted};

use crate::environment::World;

/// How often things go wrong, in percent of the requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lost_requests: u64,
    pub(crate) lost_replies: u64,
    pub(crate) longest_delay: Duration,
}

/// A connection to the storage. Several may share one storage.
#[derive(Clone)]
pub(crate) struct Storage {
    world: World,
    memory: MemoryBackend,
    faults: Faults,
    /// Faults that happened, so that a test can show that they did.
    pub(crate) struck: Arc<AtomicU64>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

impl Storage {
    pub(crate) fn new(world: &World, faults: Faults) -> Self {
        Self { world: world.clone(), memory: MemoryBackend::new(), faults, struck: Arc::default() }
    }

    /// The storage itself, without network and clock.
    pub(crate) fn backend(&self) -> &MemoryBackend {
        &self.memory
    }

    async fn over_the_network<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.delay().await;
        if self.world.random_below(100) < self.faults.lost_requests {
            self.struck.fetch_add(1, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::Unavailable, "reach the storage", "the request was lost"));
        }
        let reply = request.await;
        self.delay().await;
        if self.world.random_below(100) < self.faults.lost_replies {
            self.struck.fetch_add(1, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::UnknownOutcome, "reach the storage", "the reply was lost"));
        }
        reply
    }

    async fn delay(&self) {
        let longest = self.faults.longest_delay.as_micros() as u64;
        if longest > 0 {
            self.world.sleep(Duration::from_micros(self.world.random_below(longest))).await;
        }
    }
}

/// Passes a request on with the virtual time in it.
macro_rules! timed {
    ($self:ident, $method:ident, $request:ident) => {
        $self
            .over_the_network(async {
                let request = $request.at($self.world.time());
                $self.memory.$method(request).await
            })
            .await
    };
}

#[async_trait]
impl Backend for Storage {
    fn name(&self) -> &str {
        "simulated"
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        timed!(self, insert, request)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        timed!(self, claim, request)
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.over_the_network(self.memory.leases(request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        timed!(self, settle, request)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        timed!(self, cancel, request)
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        timed!(self, register, request)
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        timed!(self, heartbeat, request)
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.over_the_network(self.memory.retire(request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        timed!(self, maintain, request)
    }

    fn subscribe(&self) -> WakeReceiver {
        self.memory.subscribe()
    }

    fn pausing(&self) -> Option<&dyn Pause> {
        self.memory.pausing()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.memory.inspect()
    }

    fn audit(&self) -> Option<&dyn Audit> {
        self.memory.audit()
    }
}
