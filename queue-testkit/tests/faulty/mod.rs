//! The in-memory backend as if it were a server at some distance, to which things can happen.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    Answer, Audit, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob,
    Extensions, HeartbeatReply, HeartbeatRequest, InsertRequest, Inspect, JobRecord, LeasesRequest,
    ListRequest, MaintainReply, MaintainRequest, Manage, ParkedClaim, ParkedClaims, ReadyQueuesReply,
    ReadyQueuesRequest, RegisterRequest, RetireRequest, SettleRequest, Settled, Stored, WakeReceiver,
};
use queue_core::{Backend, Error, ErrorKind, JobId, MemoryBackend, QueueName, Result, Submitted};
use queue_testkit::conformance::{Fault, FaultyStorage, Injected, SetupResult, Storage};
use tokio::sync::watch;
use tokio::time::sleep;

/// What can happen to it.
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

/// How long a handle waits before it gives up.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a request and its answer are on their way, each.
const WAY: Duration = Duration::from_micros(300);

/// A storage of which one thing is broken at a time.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: MemoryBackend,
    parking: ParkedClaims,
    fault: Fault,
    line: Arc<Line>,
}

/// What becomes of requests.
struct Line {
    /// The target, while the fault is there.
    broken: watch::Sender<Option<Vec<u8>>>,
    cuts: Mutex<u64>,
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Writes,
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        let line = Line { broken: watch::Sender::new(None), cuts: Mutex::new(0) };
        Self { inner: MemoryBackend::new(), parking: ParkedClaims::new(), fault, line: Arc::new(line) }
    }

    /// Sends a request that names these, and waits for its answer.
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
        let target = self.line.broken.borrow().clone();
        let is_meant = || target.as_ref().is_some_and(|target| names.contains(target));
        match self.fault {
            _ if target.is_none() => {}
            Fault::Locked if writes => {
                sleep(PATIENCE).await;
                return Err(failure(ErrorKind::Busy));
            }
            Fault::Refused => return Err(failure(ErrorKind::Unavailable)),
            Fault::ReadOnly if writes => return Err(failure(ErrorKind::Unavailable)),
            Fault::Misconfigured => return Err(failure(ErrorKind::Misconfigured)),
            Fault::Silent => {
                sleep(PATIENCE).await;
                return Err(lost(effect));
            }
            Fault::Late => {
                let mut broken = self.line.broken.subscribe();
                tokio::spawn(async move {
                    let _ = broken.wait_for(Option::is_none).await;
                    sleep(WAY).await;
                    drop(request.await);
                });
                sleep(PATIENCE).await;
                return Err(lost(effect));
            }
            Fault::Slow => sleep(WAY * 10).await,
            Fault::RequestLost if is_meant() => return Err(lost(effect)),
            Fault::ReplyLost if is_meant() => {
                drop(request.await);
                return Err(lost(effect));
            }
            _ => {}
        }
        let cuts = *cuts(&self.line);
        sleep(WAY).await;
        if *self::cuts(&self.line) > cuts {
            return Err(lost(effect));
        }
        let reply = request.await;
        sleep(WAY).await;
        if *self::cuts(&self.line) > cuts { Err(lost(effect)) } else { reply }
    }

    async fn insert_and_claim(
        &self,
        mut request: InsertRequest,
        claim: Option<ParkedClaim>,
    ) -> Result<(Vec<Result<Vec<Submitted>>>, Option<Answer>)> {
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
        let both = |inner: MemoryBackend| async move {
            let fates = inner.insert(request).await?;
            let answer = match claim {
                Some(claim) => claim.withdraw().await,
                None => None,
            };
            Ok((fates, answer))
        };
        let (fates, answer) = self.send(Effect::Writes, names, both).await?;
        let mut fates = fates.into_iter();
        let fate = |is_bad| if is_bad { Some(Err(failure(ErrorKind::Invalid))) } else { fates.next() };
        Ok((bad.into_iter().filter_map(fate).collect(), answer))
    }

    /// Whether the row of a job is not accepted.
    fn refuses(&self, job: JobId) -> bool {
        let target = self.line.broken.borrow();
        self.fault == Fault::RowRefused && target.as_deref() == Some(&job.to_bytes()[..])
    }

    fn is_full(&self) -> bool {
        self.fault == Fault::Full && self.line.broken.borrow().is_some()
    }
}

fn cuts(line: &Line) -> MutexGuard<'_, u64> {
    line.cuts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure(kind: ErrorKind) -> Error {
    Error::new(kind, "use the storage", "the test has broken it")
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
            *cuts(&self.line) += 1;
        }
        if self.fault != Fault::Cut {
            self.line.broken.send_replace(Some(target.to_vec()));
        }
        Ok(Box::new(Broken(Arc::clone(&self.line))))
    }
}

struct Broken(Arc<Line>);

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

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        let parked = self.parking.take(request.batches.iter().flatten(), request.now);
        let claim = parked.as_ref().zip(self.inner.parking()).map(|(parked, inner)| parked.pass_on(inner));
        let answer = self.insert_and_claim(request, claim).await;
        match (answer, parked) {
            (Ok((fates, reply)), Some(parked)) => {
                parked.pass_back(reply);
                Ok(fates)
            }
            (Err(error), Some(parked)) => {
                parked.insert_failed(&error);
                Err(error)
            }
            (answer, None) => answer.map(|(fates, _)| fates),
        }
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
        Extensions::none().inspect(self).manage(self).audit(self)
    }

    fn parking(&self) -> Option<&ParkedClaims> {
        Some(&self.parking)
    }
}

#[async_trait]
impl Manage for Faulty {
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
impl Inspect for Faulty {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let (ids, names) = (ids.to_vec(), ids.iter().map(|id| named(id.to_bytes())).collect());
        self.send(Effect::Reads, names, |inner| async move { inner.jobs(&ids).await }).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.list(request).await }).await
    }
}

#[async_trait]
impl Audit for Faulty {
    async fn stored(&self) -> Result<Stored> {
        self.send(Effect::Reads, Vec::new(), |inner| async move { inner.stored().await }).await
    }
}
