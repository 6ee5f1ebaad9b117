//! The in-memory backend with a mutation, as a subject of the suite.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use queue_core::backend::{
    Audit, Backend, CancelReply, CancelRequest, Capabilities, ChangeSchedulesRequest, ClaimReply,
    ClaimRequest, ClaimedJob, DueSchedulesReply, DueSchedulesRequest, Extensions, HeartbeatReply,
    HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobEnd, JobRecord, LeasesRequest, ListRequest,
    MaintainReply, MaintainRequest, Manage, NextReady, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest,
    RetireRequest, RetryReply, RetryRequest, ScheduleChanged, ScheduleStore, SettleRequest, Settled, Stored,
    StoredSchedule, WakeReceiver, Watch,
};
use queue_core::{JobId, QueueName, Result, ScheduleName};
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
        let (mutation, damaged) = ((self.make)(), Arc::default());
        Ok(Arc::new(Jobs { sound, mutation, handles: AtomicU64::new(0), damaged }))
    }
}

/// Keeps its jobs until it is dropped. The suite treats it as durable, and its handles as those of
/// several processes.
struct Jobs {
    sound: Sound,
    mutation: Arc<dyn Mutation>,
    handles: AtomicU64,
    damaged: Arc<Mutex<BTreeSet<JobId>>>,
}

#[async_trait]
impl Storage for Jobs {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        let handle = self.handles.fetch_add(1, Ordering::SeqCst);
        let sound = self.mutation.open(Sound { handle, ..self.sound.clone() });
        let (mutation, damaged) = (Arc::clone(&self.mutation), Arc::clone(&self.damaged));
        Ok(Arc::new(Mutated { sound, mutation, damaged }))
    }

    async fn damage(&self, job: JobId) -> SetupResult<bool> {
        self.damaged.lock().unwrap().insert(job);
        Ok(true)
    }
}

struct Mutated {
    sound: Sound,
    mutation: Arc<dyn Mutation>,
    /// The jobs that cannot be read.
    damaged: Arc<Mutex<BTreeSet<JobId>>>,
}

impl Mutated {
    /// Returns the reply of the mutation to a read of these jobs if one of them is damaged.
    fn check<'a, T>(&self, jobs: impl IntoIterator<Item = &'a JobId>, sound: Result<T>) -> Result<T> {
        let damaged = self.damaged.lock().unwrap();
        match jobs.into_iter().find(|job| damaged.contains(job)) {
            Some(job) => self.mutation.read_damaged(&self.sound, *job).map_or(sound, Err),
            None => sound,
        }
    }

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
        let batches: Vec<Vec<JobId>> =
            request.batches.iter().map(|batch| batch.iter().map(|spec| spec.id).collect()).collect();
        let mut reply = self.around("insert", self.mutation.insert(&self.sound, request)).await?;
        reply.batches =
            batches.iter().zip(reply.batches).map(|(batch, result)| self.check(batch, result)).collect();
        Ok(reply)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = self.around("claim", self.mutation.claim(&self.sound, request)).await?;
        reply.jobs.retain(|job| !self.damaged.lock().unwrap().contains(&job.token.job));
        Ok(reply)
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
        Extensions::none().inspect(self).watch(self).manage(self).schedules(self).audit(self)
    }
}

#[async_trait]
impl Inspect for Mutated {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let records = self.around("jobs", self.mutation.jobs(&self.sound, ids)).await;
        self.check(ids, records)
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        let records = self.around("list", self.mutation.list(&self.sound, request)).await?;
        let ids: Vec<JobId> = records.iter().map(|record| record.job.id).collect();
        self.check(&ids, Ok(records))
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

#[async_trait]
impl ScheduleStore for Mutated {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        self.around("due", self.mutation.due(&self.sound, request)).await
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        self.around("change", self.mutation.change(&self.sound, request)).await
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        self.around("get_schedules", self.mutation.get_schedules(&self.sound, names)).await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        self.around("list_schedules", self.mutation.list_schedules(&self.sound, after, limit)).await
    }
}

/// The rows as they are: a mutant hides nothing from the audit.
#[async_trait]
impl Audit for Mutated {
    async fn stored(&self) -> Result<Stored> {
        Ok(self.sound.stored().await)
    }
}
