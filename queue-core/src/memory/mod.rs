//! The in-memory backend. It implements the contract with plain collections behind one lock, so
//! that it can be read first.

mod audit;
mod cancel;
mod claim;
mod index;
mod insert;
mod inspect;
mod live;
mod maintain;
mod retry;
mod schedule_table;
mod schedules;
mod settle;
mod store;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use crate::backend::{
    Audit, Backend, CancelReply, CancelRequest, Capabilities, ChangeSchedulesRequest, ClaimReply,
    ClaimRequest, ClaimedJob, DueSchedulesReply, DueSchedulesRequest, Extensions, HeartbeatReply,
    HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobEnd, JobRecord, LeasesRequest, ListRequest,
    MaintainReply, MaintainRequest, Manage, NextReady, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest,
    RetireRequest, RetryReply, RetryRequest, ScheduleChanged, ScheduleStore, SettleRequest, Settled, Stored,
    StoredSchedule, WakeHub, WakeReceiver, Watch,
};
use crate::clock::Clock;
use crate::poison::ignore_poison;
use crate::{JobId, QueueName, Result, ScheduleName, Timestamp};
use store::Store;

/// Keeps jobs in memory, for tests and for jobs that may be lost with the process.
///
/// Clones share the same jobs.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{EnqueuerExt, JobQueue, MemoryBackend};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
/// jobs.enqueue_value("send-email", "ada").await?;
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct MemoryBackend {
    store: Arc<Mutex<Store>>,
    hub: WakeHub,
    clock: Clock,
}

impl MemoryBackend {
    /// A backend without jobs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn with_clock(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// All jobs, by their ids.
    #[cfg(feature = "testing")]
    pub(crate) fn records(&self) -> Vec<JobRecord> {
        self.lock().list(&ListRequest::new(u32::MAX))
    }

    /// The time of a request.
    fn time(&self, now: Option<Timestamp>) -> Timestamp {
        now.unwrap_or_else(|| self.clock.now())
    }

    /// Runs one transaction under the lock, and announces its hints after the lock is released.
    fn transaction<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let (reply, hints) = {
            let mut store = self.lock();
            let reply = change(&mut store);
            (reply, std::mem::take(&mut store.hints))
        };
        self.hub.announce_all(&hints);
        reply
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        ignore_poison(self.store.lock())
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().with_insert_and_claim().with_unique_keys().with_follow_ups()
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        let now = self.time(request.now);
        Ok(self.transaction(|store| store.insert(now, request)))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        let now = self.time(request.now);
        self.transaction(|store| store.claim(now, &request))
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        let now = self.time(request.now);
        Ok(self.lock().ready_queues(now, request))
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        Ok(self.lock().leases(&request))
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let now = self.time(request.now);
        Ok(self.transaction(|store| store.settle(now, request.settlements)))
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let now = self.time(request.now);
        Ok(self.transaction(|store| store.cancel(now, &request)))
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        let now = self.time(request.now);
        self.transaction(|store| store.register(now, &request))
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let now = self.time(request.now);
        self.transaction(|store| store.heartbeat(now, request))
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.transaction(|store| store.retire(request.worker));
        Ok(())
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        let now = self.time(request.now);
        Ok(self.transaction(|store| store.maintain(now, &request)))
    }

    fn subscribe(&self) -> WakeReceiver {
        self.hub.subscribe()
    }

    fn extensions(&self) -> Extensions<'_> {
        Extensions::none().inspect(self).watch(self).manage(self).schedules(self).audit(self)
    }
}

#[async_trait]
impl Manage for MemoryBackend {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let now = self.time(request.now);
        Ok(self.transaction(|store| store.retry_finished(now, &request)))
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.lock().paused.insert(queue.clone());
        Ok(())
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        if self.lock().paused.remove(queue) {
            self.hub.announce_unknown();
        }
        Ok(())
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        Ok(self.lock().paused.iter().cloned().collect())
    }
}

#[async_trait]
impl ScheduleStore for MemoryBackend {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        let now = self.time(request.now);
        Ok(self.lock().schedules.due(now, &request))
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        let now = self.time(request.now);
        let change = |store: &mut Store| {
            request.changes.into_iter().map(|change| Ok(store.change_schedule(now, change))).collect()
        };
        Ok(self.transaction(change))
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        let store = self.lock();
        Ok(names.iter().map(|name| store.schedules.get(name)).collect())
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        Ok(self.lock().schedules.list(after, limit))
    }
}

#[async_trait]
impl Inspect for MemoryBackend {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let store = self.lock();
        Ok(ids.iter().map(|id| store.record(*id)).collect())
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        Ok(self.lock().list(&request))
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        Ok(self.lock().next_ready(queues))
    }
}

#[async_trait]
impl Watch for MemoryBackend {
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        let mut store = self.lock();
        Ok(jobs.iter().map(|id| store.watch(*id)).collect())
    }
}

#[async_trait]
impl Audit for MemoryBackend {
    async fn stored(&self) -> Result<Stored> {
        Ok(self.lock().stored())
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.lock();
        f.debug_struct("MemoryBackend")
            .field("jobs", &store.jobs.len())
            .field("live", &store.live.len())
            .field("workers", &store.workers.len())
            .finish()
    }
}
