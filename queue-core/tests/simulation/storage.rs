//! The in-memory backend on the virtual clock, behind a network that delays and loses requests and
//! replies.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    Beat, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, LeasesRequest, MaintainReply,
    MaintainRequest, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest, SettleRequest,
    Settled, WakeReceiver,
};
use queue_core::{Backend, Error, ErrorKind, JobId, MemoryBackend, Result, Submitted, Timestamp, Token};

use crate::environment::World;
use crate::tally::{Rare, Tally};

/// Faults of the network. Losses are in percent of the requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lost_requests: u64,
    pub(crate) lost_replies: u64,
    pub(crate) longest_delay: Duration,
}

/// The settings that a test may change during a run, and a record of the requests.
#[derive(Debug, Default)]
struct StorageState {
    faults: Faults,
    /// Operations that are refused, and the kind of the error.
    refusal: Option<(&'static [&'static str], ErrorKind)>,
    /// How far the storage's clock has jumped ahead.
    ahead: Duration,
    /// How often each job was claimed.
    claims: BTreeMap<JobId, u32>,
    settled: BTreeSet<Token>,
}

/// A connection to the storage. Clones share one storage.
#[derive(Clone)]
pub(crate) struct Storage {
    world: World,
    memory: MemoryBackend,
    state: Arc<Mutex<StorageState>>,
    pub(crate) tally: Tally,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

impl Storage {
    pub(crate) fn new(world: &World, faults: Faults) -> Self {
        Self::counting(world, faults, Tally::default())
    }

    pub(crate) fn counting(world: &World, faults: Faults, tally: Tally) -> Self {
        let state = StorageState { faults, ..StorageState::default() };
        let state = Arc::new(Mutex::new(state));
        Self { world: world.clone(), memory: MemoryBackend::new(), state, tally }
    }

    /// The storage itself, without network and clock.
    pub(crate) fn backend(&self) -> &MemoryBackend {
        &self.memory
    }

    pub(crate) fn faults(&self) -> Faults {
        self.state().faults
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Refuses these operations with an error of this kind.
    pub(crate) fn refuse(&self, operations: &'static [&'static str], kind: ErrorKind) {
        self.state().refusal = Some((operations, kind));
    }

    pub(crate) fn refuse_nothing(&self) {
        self.state().refusal = None;
    }

    fn check_refusal(&self, operation: &str) -> Result<()> {
        match self.state().refusal {
            Some((operations, kind)) if operations.contains(&operation) => {
                Err(Error::new(kind, "reach the storage", format!("it refuses to {operation}")))
            }
            _ => Ok(()),
        }
    }

    /// Sets how far the storage's clock is ahead of the virtual clock.
    pub(crate) fn set_ahead(&self, by: Duration) {
        self.state().ahead = by;
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.world.time().saturating_add(self.state().ahead)
    }

    /// How many leases were given.
    pub(crate) fn claims(&self) -> u32 {
        self.state().claims.values().sum()
    }

    pub(crate) fn claims_of(&self, job: JobId) -> u32 {
        self.state().claims.get(&job).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, StorageState> {
        self.state.lock().unwrap()
    }

    async fn over_the_network<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.delay().await;
        if self.world.random_below(100) < self.state().faults.lost_requests {
            self.tally.count(Rare::LostRequest);
            return Err(Error::new(ErrorKind::Unavailable, "reach the storage", "the request was lost"));
        }
        let reply = request.await;
        self.delay().await;
        if self.world.random_below(100) < self.state().faults.lost_replies {
            self.tally.count(Rare::LostReply);
            return Err(Error::new(ErrorKind::UnknownOutcome, "reach the storage", "the reply was lost"));
        }
        reply
    }

    async fn delay(&self) {
        let longest = self.state().faults.longest_delay.as_micros() as u64;
        if longest > 0 {
            self.world.sleep(Duration::from_micros(self.world.random_below(longest))).await;
        }
    }

    /// One transaction of the storage.
    async fn insert_and_claim(&self, request: InsertRequest) -> Result<InsertReply> {
        let reply = self.memory.insert(request.at(self.time())).await?;
        let known = |batch: &&Result<Vec<Submitted>>| batch.iter().flatten().any(|job| !job.is_new());
        self.tally.count_many(Rare::InsertedAgain, reply.batches.iter().filter(known).count() as u64);
        if let Some(claim) = &reply.claim {
            self.tally.count(Rare::ClaimedWithInsert);
            self.saw_claim(claim);
        }
        Ok(reply)
    }

    fn saw_claim(&self, reply: &Result<ClaimReply>) {
        let Ok(reply) = reply else { return self.tally.count(Rare::WorkerLost) };
        for job in &reply.jobs {
            *self.state().claims.entry(job.token.job).or_default() += 1;
        }
    }

    fn saw_settle(&self, tokens: &[Token], answers: &Result<Vec<Result<Settled>>>) {
        for (token, answer) in tokens.iter().zip(answers.iter().flatten()) {
            match answer {
                Ok(Settled::Done) if !self.state().settled.insert(*token) => {
                    self.tally.count(Rare::SettledAgain);
                }
                Ok(Settled::LeaseLost) => self.tally.count(Rare::LeaseLost),
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn saw_cancel(&self, replies: &Result<Vec<CancelReply>>) {
        for reply in replies.iter().flatten() {
            match reply {
                CancelReply::Cancelled => self.tally.count(Rare::Cancelled),
                CancelReply::Running => self.tally.count(Rare::CancelMetRunning),
                CancelReply::Finished(_) => self.tally.count(Rare::CancelMetFinished),
                _ => {}
            }
        }
    }
}

/// Forwards a request with the storage's time. `$saw` inspects the reply.
macro_rules! timed {
    ($self:ident, $method:ident, $request:ident $(, $saw:expr)?) => {
        $self
            .over_the_network(async {
                $self.check_refusal(stringify!($method))?;
                let request = $request.at($self.time());
                let reply = $self.memory.$method(request).await;
                $($saw(&reply);)?
                reply
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

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.over_the_network(self.insert_and_claim(request)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        timed!(self, claim, request, |reply| self.saw_claim(reply))
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        timed!(self, ready_queues, request)
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        let answer = async {
            self.check_refusal("leases")?;
            self.memory.leases(request).await
        };
        let reply = self.over_the_network(answer).await;
        self.tally.count_many(Rare::Recovered, reply.iter().flatten().count() as u64);
        reply
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let tokens: Vec<Token> = request.settlements.iter().map(|settlement| settlement.token).collect();
        timed!(self, settle, request, |answers| self.saw_settle(&tokens, answers))
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        timed!(self, cancel, request, |replies| self.saw_cancel(replies))
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        timed!(self, register, request)
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        if !request.progress.is_empty() {
            self.check_refusal("progress")?;
        }
        timed!(self, heartbeat, request, |reply: &Result<HeartbeatReply>| match reply {
            Ok(reply) if reply.beat == Beat::Late => self.tally.count(Rare::LateBeat),
            Ok(_) => {}
            Err(_) => self.tally.count(Rare::WorkerLost),
        })
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.over_the_network(self.memory.retire(request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        timed!(self, maintain, request, |reply: &Result<MaintainReply>| if let Ok(reply) = reply {
            self.tally.count_many(Rare::Rescued, reply.rescued);
            self.tally.count_many(Rare::DiedByRescue, reply.died);
        })
    }

    fn subscribe(&self) -> WakeReceiver {
        self.memory.subscribe()
    }

    fn extensions(&self) -> Extensions<'_> {
        self.memory.extensions()
    }
}
