//! A storage backend on [redb](https://docs.rs/redb), an embedded key-value store.
//!
//! The author of a backend can read and copy it. Each operation of the contract is in its own file,
//! and was written only against the documentation of [`queue_core::backend`]. The guide *Writing a
//! backend* (`docs/writing-a-backend.md`) follows it.
//!
//! | file | content |
//! |---|---|
//! | `layout` | the tables, and the order of their keys |
//! | `tables` | the tables, open in a transaction |
//! | `rows` | the rows as checked types, and the indexes that go with them |
//! | `store` | the file, which is reopened after a disk error |
//! | `thread`, `writer`, `reader` | threads, so that async tasks do not block and waiting requests share a commit |
//! | `insert`, `claim`, `settle`, `cancel`, `worker`, `maintain` | the operations |
//! | `promote`, `rescue`, `prune` | the parts of upkeep |
//! | `inspect`, `retry`, `pause`, `audit` | the extensions |
//! | `error` | the meaning of redb's errors to the caller |
//!
//! Jobs outlive the process. Only one process at a time can use the file.

mod audit;
mod cancel;
mod claim;
mod error;
mod insert;
mod inspect;
mod layout;
mod maintain;
mod pause;
mod promote;
mod prune;
mod reader;
mod rescue;
mod retry;
mod rows;
mod settle;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod thread;
mod worker;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::backend::{
    Audit, Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob,
    Extensions, HeartbeatReply, HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobRecord,
    LeasesRequest, ListRequest, MaintainReply, MaintainRequest, Manage, NextReady, RegisterRequest,
    RetireRequest, RetryReply, RetryRequest, SettleRequest, Settled, Stored, WakeHub, WakeReceiver,
};
use queue_core::{JobId, QueueName, Result};
use redb::{Database, DatabaseError};

use reader::Reader;
use store::Store;
use tables::Snapshot;
use writer::Writer;

/// Jobs in a redb file.
///
/// Dropping it waits until pending requests are done, then closes the file.
#[derive(Debug)]
pub struct RedbBackend {
    writer: Writer,
    reader: Reader,
    hub: WakeHub,
}

impl RedbBackend {
    /// Opens a file, and creates it if it does not exist.
    ///
    /// # Errors
    /// - [`Busy`](queue_core::ErrorKind::Busy) if another handle has it open.
    /// - [`Unavailable`](queue_core::ErrorKind::Unavailable) if it cannot be read.
    /// - [`Corrupt`](queue_core::ErrorKind::Corrupt) if it is not a redb file.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        Self::open_with(move || Database::create(&path)).await
    }

    /// Opens a database by this function, also after a disk error. Tests use it with a disk that
    /// fails.
    ///
    /// # Errors
    /// As [`open`](Self::open), by the error of the function.
    pub async fn open_with(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self> {
        // On a thread, because redb first checks a file that was not closed properly.
        let store = Arc::new(thread::run_on_own_thread(move || Store::open(open)).await?);
        let hub = WakeHub::new();
        let writer = Writer::start(Arc::clone(&store), hub.clone())?;
        Ok(Self { writer, reader: Reader::start(store)?, hub })
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl Fn(&Snapshot) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Because the contract says that later requests see the effects of dropped ones.
        self.writer.dropped_requests_ended().await;
        self.reader.read(look).await
    }
}

#[async_trait]
impl Backend for RedbBackend {
    fn name(&self) -> &str {
        "redb"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().with_durable()
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.writer.write(move |tables| insert::insert(tables, &request)).await.map(InsertReply::new)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.writer.write(move |tables| claim::claim(tables, &request)).await
    }

    // On the writing thread, so that earlier claims have taken effect.
    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.writer.write(move |tables| claim::leases(tables, &request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.writer.write(move |tables| settle::settle(tables, &request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.writer.write(move |tables| cancel::cancel(tables, &request)).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.writer.write(move |tables| worker::register(tables, &request)).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.writer.write(move |tables| worker::heartbeat(tables, &request)).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.writer.write(move |tables| worker::retire(tables, &request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.writer.write(move |tables| maintain::maintain(tables, &request)).await
    }

    fn subscribe(&self) -> WakeReceiver {
        self.hub.subscribe()
    }

    fn extensions(&self) -> Extensions<'_> {
        Extensions::none().inspect(self).manage(self).audit(self)
    }
}

#[async_trait]
impl Inspect for RedbBackend {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let ids = ids.to_vec();
        self.read(move |snapshot| inspect::jobs(snapshot, &ids)).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.read(move |snapshot| inspect::list(snapshot, &request)).await
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        let queues = queues.to_vec();
        self.read(move |snapshot| inspect::next_ready(snapshot, &queues)).await
    }
}

#[async_trait]
impl Manage for RedbBackend {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.writer.write(move |tables| retry::retry(tables, &request)).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.writer.write(move |tables| pause::pause(tables, &queue)).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.writer.write(move |tables| pause::resume(tables, &queue)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.read(pause::paused).await
    }
}

#[async_trait]
impl Audit for RedbBackend {
    async fn stored(&self) -> Result<Stored> {
        self.read(audit::stored).await
    }
}
