//! The operations that a mutant replaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use queue_core::backend::{
    Audit as _, CancelReply, CancelRequest, Capabilities, ChangeSchedulesRequest, ClaimReply, ClaimRequest,
    ClaimedJob, DueSchedulesReply, DueSchedulesRequest, HeartbeatReply, HeartbeatRequest, InsertReply,
    InsertRequest, Inspect, JobEnd, JobRecord, LeasesRequest, ListRequest, LiveRow, MaintainReply,
    MaintainRequest, Manage, NextReady, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest,
    RetryReply, RetryRequest, ScheduleChanged, ScheduleStore, SettleRequest, Settled, Stored, StoredSchedule,
    WakeReceiver, Watch as _,
};
use queue_core::{Backend as _, Error, ErrorKind, JobId, MemoryBackend, QueueName, Result, ScheduleName};
use tokio::sync::OwnedMutexGuard;

/// How many yields, and how much time, a task waits for another task at least.
const YIELDS: usize = 1000;
const PATIENCE: Duration = Duration::from_millis(20);

/// The correct backend, and a count of the mutant's faults.
#[derive(Clone)]
pub(crate) struct Sound {
    pub(crate) backend: MemoryBackend,
    /// The number of this handle on its storage: 0, 1, …
    pub(crate) handle: u64,
    /// How often the fault of the mutant has occurred.
    pub(crate) reached: Arc<AtomicU64>,
}

impl Sound {
    pub(crate) fn new(reached: Arc<AtomicU64>) -> Self {
        Self { backend: MemoryBackend::new(), handle: 0, reached }
    }

    /// Records that the fault of the mutant has occurred.
    pub(crate) fn reached(&self) {
        self.reached.fetch_add(1, Ordering::SeqCst);
    }

    /// The row of an unfinished job.
    pub(crate) async fn live(&self, job: JobId) -> Option<LiveRow> {
        self.stored().await.live.into_iter().find(|row| row.id == job)
    }

    pub(crate) async fn stored(&self) -> Stored {
        self.backend.stored().await.unwrap_or_default()
    }

    pub(crate) async fn record(&self, job: JobId) -> Option<JobRecord> {
        self.backend.jobs(&[job]).await.ok()?.pop().flatten()
    }
}

/// Yields until another task has changed the number, or until a time limit.
pub(crate) async fn wait_for_another(moved: &AtomicU64) {
    let (before, start) = (moved.load(Ordering::SeqCst), Instant::now());
    for turn in 0.. {
        if moved.load(Ordering::SeqCst) != before || (turn >= YIELDS && start.elapsed() >= PATIENCE) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The operations of a mutant. Each default calls the correct backend.
#[async_trait]
pub(crate) trait Mutation: Send + Sync + 'static {
    /// The backend that a newly opened handle uses.
    fn open(&self, sound: Sound) -> Sound {
        sound
    }

    /// Only mutants of claims within inserts return `true`. For the others each claim is then a
    /// separate request.
    fn inserts_and_claims(&self) -> bool {
        false
    }

    /// Declares less than the correct backend.
    fn restrict(&self, capabilities: Capabilities) -> Capabilities {
        capabilities
    }

    /// The error of a read of a damaged job; `None` if it is read as if it was sound.
    fn read_damaged(&self, _sound: &Sound, job: JobId) -> Option<Error> {
        Some(Error::new(ErrorKind::Corrupt, "read jobs", format!("the job {job} is damaged")))
    }

    /// Called before an operation, which ends before the guard is dropped.
    async fn before(&self, _operation: &'static str) -> Option<OwnedMutexGuard<()>> {
        None
    }

    /// Called after an operation, before its reply.
    async fn after(&self, _operation: &'static str) {}

    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        sound.backend.insert(request).await
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        sound.backend.claim(request).await
    }

    async fn ready_queues(&self, sound: &Sound, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        sound.backend.ready_queues(request).await
    }

    async fn leases(&self, sound: &Sound, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        sound.backend.leases(request).await
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        sound.backend.settle(request).await
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        sound.backend.cancel(request).await
    }

    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        sound.backend.register(request).await
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        sound.backend.heartbeat(request).await
    }

    async fn retire(&self, sound: &Sound, request: RetireRequest) -> Result<()> {
        sound.backend.retire(request).await
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        sound.backend.maintain(request).await
    }

    fn subscribe(&self, sound: &Sound) -> WakeReceiver {
        sound.backend.subscribe()
    }

    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        sound.backend.jobs(ids).await
    }

    async fn watch(&self, sound: &Sound, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        sound.backend.watch(jobs).await
    }

    async fn list(&self, sound: &Sound, request: ListRequest) -> Result<Vec<JobRecord>> {
        Inspect::list(&sound.backend, request).await
    }

    async fn next_ready(&self, sound: &Sound, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        sound.backend.next_ready(queues).await
    }

    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        sound.backend.retry(request).await
    }

    async fn pause(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        sound.backend.pause(queue).await
    }

    async fn resume(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        sound.backend.resume(queue).await
    }

    async fn paused(&self, sound: &Sound) -> Result<Vec<QueueName>> {
        sound.backend.paused().await
    }

    async fn due(&self, sound: &Sound, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        sound.backend.due(request).await
    }

    async fn change(
        &self,
        sound: &Sound,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        sound.backend.change(request).await
    }

    async fn get_schedules(
        &self,
        sound: &Sound,
        names: &[ScheduleName],
    ) -> Result<Vec<Option<StoredSchedule>>> {
        sound.backend.get(names).await
    }

    async fn list_schedules(
        &self,
        sound: &Sound,
        after: Option<&ScheduleName>,
        limit: u32,
    ) -> Result<Vec<StoredSchedule>> {
        ScheduleStore::list(&sound.backend, after, limit).await
    }
}
