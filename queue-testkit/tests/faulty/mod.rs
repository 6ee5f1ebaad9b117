//! The in-memory backend behind a simulated network, with faults.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    Audit, CancelReply, CancelRequest, Capabilities, ChangeSchedulesRequest, ClaimReply, ClaimRequest,
    ClaimedJob, DueSchedulesReply, DueSchedulesRequest, Extensions, HeartbeatReply, HeartbeatRequest,
    InsertReply, InsertRequest, Inspect, JobRecord, LeasesRequest, ListRequest, MaintainReply,
    MaintainRequest, Manage, NextReady, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest,
    RetryReply, RetryRequest, ScheduleChange, ScheduleChanged, ScheduleStore, SettleRequest, Settled, Stored,
    StoredSchedule, WakeReceiver,
};
use queue_core::{Backend, Error, ErrorKind, JobId, MemoryBackend, QueueName, Result, ScheduleName};
use queue_testkit::conformance::{Fault, FaultyStorage, Injected, SetupResult, Storage};
use tokio::sync::watch;
use tokio::time::sleep;

/// The faults that this storage can simulate.
pub(crate) const FAULTS: &[Fault] = &[
    Fault::Locked,
    Fault::Full,
    Fault::Refused,
    Fault::Silent,
    Fault::Late,
    Fault::Slow,
    Fault::ReadOnly,
    Fault::Misconfigured,
    Fault::Cut,
    Fault::RequestLost,
    Fault::ReplyLost,
    Fault::RowRefused,
];

/// How long a request waits before it fails.
const TIMEOUT: Duration = Duration::from_millis(20);
/// The latency of a request, and of a reply.
const LATENCY: Duration = Duration::from_micros(300);

/// A storage with one kind of fault.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: MemoryBackend,
    fault: Fault,
    network: Arc<Network>,
}

/// The state of the simulated network.
struct Network {
    /// The target of the fault while it is injected.
    broken: watch::Sender<Option<Vec<u8>>>,
    cuts: Mutex<u64>,
}

/// Whether a request reads or writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Writes,
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        let network = Network { broken: watch::Sender::new(None), cuts: Mutex::new(0) };
        Self { inner: MemoryBackend::new(), fault, network: Arc::new(network) }
    }

    /// Sends a request that refers to `names`, and waits for its reply.
    async fn send<T, F>(
        &self,
        effect: Effect,
        names: Vec<Vec<u8>>,
        request: impl FnOnce(MemoryBackend) -> F + Send,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let request = request(self.inner.clone());
        let writes = effect == Effect::Writes;
        let target = self.network.broken.borrow().clone();
        let is_meant = || target.as_ref().is_some_and(|target| names.contains(target));
        match self.fault {
            _ if target.is_none() => {}
            Fault::Locked if writes => {
                sleep(TIMEOUT).await;
                return Err(failure(ErrorKind::Busy));
            }
            Fault::Refused => return Err(failure(ErrorKind::Unavailable)),
            Fault::ReadOnly if writes => return Err(failure(ErrorKind::Unavailable)),
            Fault::Misconfigured => return Err(failure(ErrorKind::Misconfigured)),
            Fault::Silent => {
                sleep(TIMEOUT).await;
                return Err(lost(effect));
            }
            Fault::Late => {
                let mut broken = self.network.broken.subscribe();
                tokio::spawn(async move {
                    let _ = broken.wait_for(Option::is_none).await;
                    sleep(LATENCY).await;
                    drop(request.await);
                });
                sleep(TIMEOUT).await;
                return Err(lost(effect));
            }
            Fault::Slow => sleep(LATENCY * 10).await,
            Fault::RequestLost if is_meant() => return Err(lost(effect)),
            Fault::ReplyLost if is_meant() => {
                drop(request.await);
                return Err(lost(effect));
            }
            _ => {}
        }
        let cuts = *cuts(&self.network);
        sleep(LATENCY).await;
        if *self::cuts(&self.network) > cuts {
            return Err(lost(effect));
        }
        let reply = request.await;
        sleep(LATENCY).await;
        if *self::cuts(&self.network) > cuts { Err(lost(effect)) } else { reply }
    }

    /// Inserts the accepted batches, and returns an error in the position of each refused one.
    async fn insert_accepted_batches(&self, mut request: InsertRequest) -> Result<InsertReply> {
        let ids = request.batches.iter().flatten().map(|job| named(job.id.to_bytes()));
        let kinds = request.batches.iter().flatten().map(|job| job.kind.as_str().as_bytes().to_vec());
        let names = ids.chain(kinds).collect();
        if self.is_full() {
            return Err(failure(ErrorKind::Unavailable));
        }
        let batches = std::mem::take(&mut request.batches);
        let is_bad = |batch: &Vec<_>| batch.iter().any(|job: &queue_core::JobSpec| self.refuses(job.id));
        let bad: Vec<bool> = batches.iter().map(is_bad).collect();
        request.batches = batches.into_iter().filter(|batch| !is_bad(batch)).collect();
        let send = |inner: MemoryBackend| async move { inner.insert(request).await };
        let mut reply = self.send(Effect::Writes, names, send).await?;
        let mut results = std::mem::take(&mut reply.batches).into_iter();
        let result = |is_bad| if is_bad { Some(Err(failure(ErrorKind::Invalid))) } else { results.next() };
        reply.batches = bad.into_iter().filter_map(result).collect();
        Ok(reply)
    }

    /// Whether the fault refuses the row of a job.
    fn refuses(&self, job: JobId) -> bool {
        let target = self.network.broken.borrow();
        self.fault == Fault::RowRefused && target.as_deref() == Some(&job.to_bytes()[..])
    }

    fn is_full(&self) -> bool {
        self.fault == Fault::Full && self.network.broken.borrow().is_some()
    }
}

fn cuts(network: &Network) -> MutexGuard<'_, u64> {
    network.cuts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure(kind: ErrorKind) -> Error {
    Error::new(kind, "use the storage", "the test has injected a fault")
}

fn lost(effect: Effect) -> Error {
    failure(if effect == Effect::Writes { ErrorKind::UnknownOutcome } else { ErrorKind::Unavailable })
}

fn named(id: [u8; 16]) -> Vec<u8> {
    id.to_vec()
}

#[async_trait]
impl Storage for Faulty {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl FaultyStorage for Faulty {
    async fn inject(&self, target: &[u8]) -> SetupResult<Box<dyn Injected>> {
        if matches!(self.fault, Fault::Cut | Fault::Refused) {
            *cuts(&self.network) += 1;
        }
        if self.fault != Fault::Cut {
            self.network.broken.send_replace(Some(target.to_vec()));
        }
        Ok(Box::new(Broken(Arc::clone(&self.network))))
    }
}

struct Broken(Arc<Network>);

#[async_trait]
impl Injected for Broken {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        Ok(())
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.0.broken.send_replace(None);
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Backend for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.insert_accepted_batches(request).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        let kinds = request.kinds.iter().map(|kind| kind.as_str().as_bytes().to_vec());
        let names = kinds.chain([request.claim.to_bytes().to_vec()]).collect();
        self.send(Effect::Writes, names, |inner| async move { inner.claim(request).await }).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.ready_queues(request).await }).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        let names = vec![request.claim.to_bytes().to_vec()];
        self.send(Effect::Reads, names, |inner| async move { inner.leases(request).await }).await
    }

    async fn settle(&self, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let names = request.settlements.iter().map(|one| named(one.token.job.to_bytes())).collect();
        let ends = |one: &queue_core::backend::Settlement| one.verdict.final_state().is_some();
        let is_bad = |one: &queue_core::backend::Settlement| ends(one) && self.refuses(one.token.job);
        let bad: Vec<bool> = request.settlements.iter().map(is_bad).collect();
        request.settlements.retain(|one| !is_bad(one));
        let answers = self.send(Effect::Writes, names, |inner| async move { inner.settle(request).await });
        let mut answers = answers.await?.into_iter();
        let answer = |is_bad| if is_bad { Some(Err(failure(ErrorKind::Invalid))) } else { answers.next() };
        Ok(bad.into_iter().filter_map(answer).collect())
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        if request.jobs.iter().any(|job| self.refuses(*job)) {
            return Err(failure(ErrorKind::Invalid));
        }
        let names = request.jobs.iter().map(|job| named(job.to_bytes())).collect();
        self.send(Effect::Writes, names, |inner| async move { inner.cancel(request).await }).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        let names = vec![named(request.worker.to_bytes())];
        self.send(Effect::Writes, names, |inner| async move { inner.register(request).await }).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let names = vec![named(request.worker.to_bytes())];
        self.send(Effect::Writes, names, |inner| async move { inner.heartbeat(request).await }).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        let names = vec![named(request.worker.to_bytes())];
        self.send(Effect::Writes, names, |inner| async move { inner.retire(request).await }).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        let names = request.worker.iter().map(|worker| named(worker.to_bytes())).collect();
        self.send(Effect::Writes, names, |inner| async move { inner.maintain(request).await }).await
    }

    fn subscribe(&self) -> WakeReceiver {
        self.inner.subscribe()
    }

    fn extensions(&self) -> Extensions<'_> {
        Extensions::none().inspect(self).manage(self).schedules(self).audit(self)
    }
}

#[async_trait]
impl Manage for Faulty {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let names = request.jobs.iter().map(|id| named(id.to_bytes())).collect();
        self.send(Effect::Writes, names, |inner| async move { inner.retry(request).await }).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        let (queue, names) = (queue.clone(), vec![queue.as_str().as_bytes().to_vec()]);
        self.send(Effect::Writes, names, |inner| async move { inner.pause(&queue).await }).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        let (queue, names) = (queue.clone(), vec![queue.as_str().as_bytes().to_vec()]);
        self.send(Effect::Writes, names, |inner| async move { inner.resume(&queue).await }).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.paused().await }).await
    }
}

#[async_trait]
impl ScheduleStore for Faulty {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.due(request).await }).await
    }

    async fn change(&self, mut request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        let jobs = || request.changes.iter().flat_map(|change| &change.jobs);
        if self.is_full() && jobs().next().is_some() {
            return Err(failure(ErrorKind::Unavailable));
        }
        let names = jobs().map(|job| named(job.id.to_bytes())).collect();
        let is_bad = |change: &ScheduleChange| change.jobs.iter().any(|job| self.refuses(job.id));
        let bad: Vec<bool> = request.changes.iter().map(is_bad).collect();
        request.changes.retain(|change| !is_bad(change));
        let answers = self.send(Effect::Writes, names, |inner| async move { inner.change(request).await });
        let mut answers = answers.await?.into_iter();
        let answer = |is_bad| if is_bad { Some(Err(failure(ErrorKind::Invalid))) } else { answers.next() };
        Ok(bad.into_iter().filter_map(answer).collect())
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        let names = names.to_vec();
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.get(&names).await }).await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        let after = after.cloned();
        let send =
            |inner: MemoryBackend| async move { ScheduleStore::list(&inner, after.as_ref(), limit).await };
        self.send(Effect::Reads, Vec::new(), send).await
    }
}

#[async_trait]
impl Inspect for Faulty {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let (ids, names) = (ids.to_vec(), ids.iter().map(|id| named(id.to_bytes())).collect());
        self.send(Effect::Reads, names, |inner| async move { inner.jobs(&ids).await }).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { Inspect::list(&inner, request).await })
            .await
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let queues = queues.to_vec();
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.next_ready(&queues).await }).await
    }
}

#[async_trait]
impl Audit for Faulty {
    async fn stored(&self) -> Result<Stored> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.stored().await }).await
    }
}
