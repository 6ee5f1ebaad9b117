//! The handle of an application.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    Audit, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobEnd, JobRecord, LeasesRequest,
    ListRequest, MaintainReply, MaintainRequest, Manage, NextReady, ReadyQueuesReply, ReadyQueuesRequest,
    RegisterRequest, RetireRequest, RetryReply, RetryRequest, SettleRequest, Settled, SqlContract, SqlTarget,
    Stored, WakeHints, WakeHub, WakeReceiver, Watch,
};
use queue_core::{Backend, JobId, QueueName, Result, WorkerId};

use crate::config::{Pooler, PostgresConfig};
use crate::connect::Connector;
use crate::core::Core;
use crate::error::Effect;
use crate::insert_batcher::InsertBatcher;
use crate::io_thread::IoThread;
use crate::positions::Positions;
use crate::tls::Tls;
use crate::wake::{ListenerConfig, LocalWaker, listen, notify, poll};
use crate::{
    audit, cancel, claim, inspect, maintain, migrate, pause, ready_queues, retry, server, settle, tx, watch,
    worker,
};

/// Jobs in a PostgreSQL database, which any number of processes and machines may share.
///
/// A handle is cheap to clone. All clones share its connections and one thread that talks to the
/// server. Dropping the last clone lets pending requests finish and waits at most one second for
/// them.
///
/// ```no_run
/// use queue_postgres::{PostgresBackend, PostgresConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let config = PostgresConfig::from_url("postgres://app:secret@db.example/shop")?;
/// let backend = PostgresBackend::open(config).await?;
/// # Ok::<(), queue_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct PostgresBackend(Arc<Shared>);

struct Shared {
    core: Arc<Core>,
    batcher: InsertBatcher,
    /// Inserts of jobs with unique keys, which may have to wait for transactions of applications.
    unique_batcher: InsertBatcher,
    hub: WakeHub,
    listener: ListenerConfig,
    listens: AtomicBool,
    /// The identity of the storage when it was opened.
    storage: String,
    config: PostgresConfig,
    /// Dropped last, because its drop waits for the requests of the other fields.
    io: IoThread,
}

impl PostgresBackend {
    /// Connects and migrates the schema to the version of this program.
    ///
    /// # Errors
    /// - [`Unavailable`](queue_core::ErrorKind::Unavailable): the server cannot be reached or is
    ///   read-only.
    /// - [`Misconfigured`](queue_core::ErrorKind::Misconfigured): the server refuses the user, the
    ///   password or the database, or the role lacks a right.
    /// - [`Invalid`](queue_core::ErrorKind::Invalid): the settings contradict each other.
    /// - [`Unsupported`](queue_core::ErrorKind::Unsupported): the schema needs a newer program, or
    ///   must be migrated first; the server is too old, or its encoding is not UTF-8.
    /// - [`Conflict`](queue_core::ErrorKind::Conflict): a table, type, function or view of another
    ///   program has the name of one of the queue.
    ///
    /// # Cancellation
    /// If this future is dropped, the schema may have been migrated.
    pub async fn open(config: PostgresConfig) -> Result<Self> {
        let hub = WakeHub::new();
        let tls = Tls::new(&config)?;
        let io = IoThread::start()?;
        let connector = Arc::new(Connector::new(&config, tls));
        let positions = Arc::new(Positions::new(config.head_interval, config.head_share));
        let local = LocalWaker::new(hub.clone(), Arc::clone(&positions));
        let (core, unsent) = Core::new(&config, &connector, local.clone(), positions)?;
        let core = Arc::new(core);
        let (opening, settings) = (Arc::clone(&core), config.clone());
        let storage = io
            .run(async move {
                // Opens the heartbeat connection first, so that a worker keeps its leases even if
                // the server has no connection left for requests.
                let connected = opening.heartbeats.connect().await;
                connected.map_err(|fault| fault.into_error("open the database", Effect::Reads))?;
                server::check(&opening.heartbeats).await?;
                if settings.shared_pool.is_some() {
                    // Its sessions may have other defaults.
                    server::check(&opening.connections).await?;
                }
                migrate::migrate(&opening.connections, &settings).await?;
                tx::storage_id(&opening, &settings.schema).await
            })
            .await?;
        let own_id = WorkerId::generate().to_string();
        let (connections, channel) = (Arc::clone(&core.connections), config.schema.channel());
        io.serve(notify(connections, channel, own_id.clone(), config.notify_interval, unsent));
        let (batcher, serving) = InsertBatcher::new(Arc::clone(&core));
        io.serve(serving);
        let (unique_batcher, serving) = InsertBatcher::new(Arc::clone(&core));
        io.serve(serving);
        let connections = Arc::clone(&core.connections);
        let listener = ListenerConfig::new(&config, connector, connections, local, own_id);
        Ok(Self(Arc::new(Shared {
            core,
            batcher,
            unique_batcher,
            hub,
            listener,
            listens: AtomicBool::new(false),
            storage,
            config,
            io,
        })))
    }

    /// Runs a request to its end. Requests whose futures were dropped finish first, because the
    /// contract says that later requests on this handle see their effects.
    pub(crate) async fn run<T, F>(&self, request: impl FnOnce(Arc<Core>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.0.io.dropped_requests_ended().await;
        self.0.io.run(request(Arc::clone(&self.0.core))).await
    }
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { config, .. } = &*self.0;
        f.debug_struct("PostgresBackend")
            .field("hosts", &config.driver.get_hosts())
            .field("database", &config.driver.get_dbname())
            .field("schema", &config.schema.as_str())
            .finish()
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
            .with_durable()
            .with_multi_process()
            .with_migrations()
            .with_insert_and_claim()
            .with_unique_keys()
            .with_follow_ups()
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        if request.batches.is_empty() {
            return Ok(InsertReply::new(Vec::new()));
        }
        let has_keys = request.batches.iter().flatten().any(|job| job.unique.is_some());
        if has_keys && request.claim.is_some() {
            return Ok(InsertReply::declined());
        }
        let batcher = if has_keys { &self.0.unique_batcher } else { &self.0.batcher }.clone();
        self.run(|_| async move { batcher.insert(request).await }).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.run(|core| async move { claim::claim(&core, request).await }).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.run(|core| async move { ready_queues::ready_queues(&core, &request).await }).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.run(|core| async move { claim::leases(&core, request).await }).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.run(|core| async move { settle::settle(&core, &request).await }).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.run(|core| async move { cancel::cancel(&core, &request).await }).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.run(|core| async move { worker::register(&core, &request).await }).await
    }

    /// Waits for no other request, because a worker must not be lost while another request hangs.
    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let core = Arc::clone(&self.0.core);
        self.0.io.run(async move { worker::heartbeat(&core, &request).await }).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.run(|core| async move { worker::retire(&core, &request).await }).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.run(|core| async move { maintain::maintain(&core, &request).await }).await
    }

    fn subscribe(&self) -> WakeReceiver {
        let Shared { io, hub, listener, listens, config, .. } = &*self.0;
        let receiver = hub.subscribe();
        if !listens.swap(true, Ordering::SeqCst) {
            match config.pooler {
                Pooler::None => io.run_until_closed(listen(listener.clone())),
                Pooler::Transaction => {
                    io.run_until_closed(poll(listener.local.clone(), config.poll_interval));
                }
            }
        }
        receiver
    }

    fn extensions(&self) -> Extensions<'_> {
        Extensions::none()
            .inspect(self)
            .watch(self)
            .manage(self)
            .schedules(self)
            .audit(self)
            .sql_contract(self)
    }
}

#[async_trait]
impl Manage for PostgresBackend {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.run(|core| async move { retry::retry(&core, &request).await }).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.run(|core| async move { pause::pause(&core, &queue).await }).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.run(|core| async move { pause::resume(&core, &queue).await }).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.run(|core| async move { pause::paused(&core).await }).await
    }
}

#[async_trait]
impl Inspect for PostgresBackend {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let ids = ids.to_vec();
        self.run(|core| async move { inspect::jobs(&core, &ids).await }).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.run(|core| async move { inspect::list(&core, &request).await }).await
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let queues = queues.to_vec();
        self.run(|core| async move { inspect::next_ready(&core, &queues).await }).await
    }
}

impl SqlContract for PostgresBackend {
    fn target(&self) -> SqlTarget {
        tx::target(&self.0.config.schema).storage(Some(self.0.storage.clone()))
    }

    fn wake(&self, hints: &WakeHints) {
        self.0.core.waker.wake(hints.clone());
    }
}

#[async_trait]
impl Watch for PostgresBackend {
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        let jobs = jobs.to_vec();
        self.run(|core| async move { watch::watch(&core, &jobs).await }).await
    }
}

#[async_trait]
impl Audit for PostgresBackend {
    async fn stored(&self) -> Result<Stored> {
        let config = self.0.config.clone();
        self.run(|core| async move { audit::stored(&core.connections, &config).await }).await
    }
}
