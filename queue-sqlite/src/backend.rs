//! The handle of an application.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, LeasesRequest, MaintainReply,
    MaintainRequest, OwnProcess, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest,
    SettleRequest, Settled, SqlContract, SqlTarget, WakeHints, WakeHub, WakeReceiver, ignore_poison,
};
use queue_core::{Backend, ErrorKind, Result};
use rusqlite::Connection;

use crate::backup::Backups;
use crate::config::SqliteConfig;
use crate::error::Outcome;
use crate::reader::{CountedFiles, Looks, Readers};
use crate::tx;
use crate::writer::Writer;
use crate::writer::command::Request;
use crate::writer::session::Session;

/// Jobs in an SQLite file, or in memory.
///
/// A handle is cheap to clone. All clones share one writing thread and a few reading threads.
/// Dropping the last clone waits until pending requests are done, then closes the file.
///
/// Several processes, and several handles in one process, may use a file at once. A handle notices
/// a commit of another connection within [`SqliteConfig::poll_interval`]. A forked child must open
/// its own handle because it does not have the threads of its parent. On the parent's handle, each
/// of its requests fails with [`Unsupported`](queue_core::ErrorKind::Unsupported).
///
/// The file must stay at its path while handles are open. Each commit and each read checks this. A
/// request on a removed, moved or replaced file fails; the next request opens the file that is at
/// the path now. A copy over the same file (`cp backup.db jobs.db`) is not noticed.
///
/// ```
/// use queue_core::Backend;
/// use queue_sqlite::{SqliteBackend, SqliteConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let backend = SqliteBackend::open(SqliteConfig::in_memory()).await?;
/// assert_eq!(backend.name(), "sqlite");
/// # Ok::<(), queue_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteBackend(Arc<Shared>);

/// Fields are dropped in this order. Backups finish first. The writer closes last, because the last
/// connection moves the write-ahead log into the file and a read-only connection cannot.
struct Shared {
    backups: Backups,
    readers: Option<Readers>,
    writer: Writer,
    hub: WakeHub,
    /// The identity of the storage when it was opened.
    storage: OnceLock<String>,
    config: SqliteConfig,
    process: OwnProcess,
}

impl SqliteBackend {
    /// Opens the storage and migrates its tables to the version of this program. A relative path is
    /// resolved once, here, because the program may change its working directory later.
    ///
    /// This may take long: it waits for other programs that migrate or hold the lock. The writing
    /// thread does the waiting.
    ///
    /// # Errors
    /// - [`Unavailable`](queue_core::ErrorKind::Unavailable): the file cannot be opened or created.
    /// - [`Misconfigured`](queue_core::ErrorKind::Misconfigured): this program may not write to the
    ///   file, to its folder, or to its log.
    /// - [`Conflict`](queue_core::ErrorKind::Conflict): a table of another program has the name of
    ///   a queue table.
    /// - [`Corrupt`](queue_core::ErrorKind::Corrupt): the file is not an SQLite database.
    /// - [`Busy`](queue_core::ErrorKind::Busy): another connection held the lock until the wait
    ///   timed out.
    /// - [`Unsupported`](queue_core::ErrorKind::Unsupported): its tables need a newer program, or
    ///   the file system does not support WAL.
    ///
    /// # Cancellation
    /// If this future is dropped, the file may have been created and migrated.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        let config = config.with_absolute_path()?;
        let (hub, looks) = (WakeHub::new(), Arc::<Looks>::default());
        let writer = Writer::start(&config, hub.clone(), Arc::clone(&looks)).await?;
        let readers = config.path().map(|file| Readers::start(&config, file, looks)).transpose()?;
        let process = OwnProcess::current();
        let (backups, storage) = (Backups::new(), OnceLock::new());
        let backend = Self(Arc::new(Shared { backups, readers, writer, hub, storage, config, process }));
        let id = backend.read("open the database", tx::storage_id).await?;
        // It is set only here.
        let _ = backend.0.storage.set(id);
        Ok(backend)
    }

    /// Sends a request to the writer, which serves requests in order.
    pub(crate) async fn write<R: Request>(&self, request: R) -> Result<R::Reply> {
        self.0.writer.call(request).await
    }

    pub(crate) fn backups(&self) -> &Backups {
        &self.0.backups
    }

    /// The files to copy and the configuration to open them with; `None` in memory.
    pub(crate) fn files_to_copy(&self) -> Result<Option<(SqliteConfig, CountedFiles)>> {
        self.0.process.check("back up the database")?;
        let connecting = self.0.readers.as_ref().map(Readers::connecting).transpose()?;
        Ok(connecting.map(|files| (self.0.config.clone(), files)))
    }

    /// Reads one snapshot, on a reading thread if the database is a file.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl Fn(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let Some(readers) = &self.0.readers else {
            return self.0.writer.call(Look(look)).await;
        };
        self.0.writer.dropped_requests_ended(CheckFiles).await;
        let look = Arc::new(Mutex::new(look));
        let read = || {
            let look = Arc::clone(&look);
            readers.read(operation, move |connection| ignore_poison(look.lock())(connection))
        };
        match read().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                // The files may have been removed or replaced, and only the writer reopens them.
                // Its first request notices the loss, its second opens the file that is at the path
                // now.
                let _ = self.0.writer.call(CheckFiles).await;
                self.0.writer.call(CheckFiles).await?;
                read().await
            }
            result => result,
        }
    }
}

impl fmt::Debug for SqliteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.config.path() {
            Some(file) => f.debug_tuple("SqliteBackend").field(&file).finish(),
            None => f.write_str("SqliteBackend(memory)"),
        }
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    fn name(&self) -> &str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities =
            Capabilities::default().with_insert_and_claim().with_unique_keys().with_follow_ups();
        match self.0.config.path() {
            Some(_) => capabilities.with_durable().with_multi_process().with_migrations(),
            None => capabilities,
        }
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.0.writer.call(request).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.0.writer.call(request).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.0.writer.call(request).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.0.writer.call(request).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.0.writer.call(request).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.0.writer.call(request).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.0.writer.call(request).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.0.writer.call(request).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.0.writer.call(request).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.0.writer.call(request).await
    }

    fn subscribe(&self) -> WakeReceiver {
        let receiver = self.0.hub.subscribe();
        self.0.writer.watch();
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

impl SqlContract for SqliteBackend {
    fn target(&self) -> SqlTarget {
        tx::target().storage(self.0.storage.get().cloned())
    }

    fn wake(&self, hints: &WakeHints) {
        self.0.hub.announce_all(hints);
    }
}

/// Makes the writer check its files, as each request does.
struct CheckFiles;

impl Request for CheckFiles {
    type Reply = ();

    const OPERATION: &'static str = "open the database";

    fn rows(&self) -> usize {
        1
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    fn look(&self, _session: &mut Session) -> Outcome<Option<()>> {
        Ok(Some(()))
    }

    fn apply(&self, _session: &mut Session, _hints: &mut WakeHints) -> Outcome<()> {
        Ok(())
    }
}

/// A read on the writer's connection, because a database in memory has no other.
struct Look<F>(F);

impl<T, F> Request for Look<F>
where
    T: Send + 'static,
    F: Fn(&Connection) -> Outcome<T> + Send + 'static,
{
    type Reply = T;

    const OPERATION: &'static str = "read jobs";

    fn rows(&self) -> usize {
        1
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    fn look(&self, session: &mut Session) -> Outcome<Option<T>> {
        (self.0)(&session.connection).map(Some)
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<T> {
        (self.0)(&session.connection)
    }
}
