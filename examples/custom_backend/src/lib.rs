//! A storage backend on [redb](https://docs.rs/redb), an embedded key-value store.
//!
//! It is here to be read and copied: whoever writes a backend for another database finds each operation
//! of the contract in a file of its own, written against nothing but the documentation of
//! [`queue_core::backend`]. The guide *Writing a backend* (`docs/writing-a-backend.md`) follows it.
//!
//! | file | idea |
//! |---|---|
//! | `layout` | which tables there are, and how their keys sort |
//! | `tables` | the tables, open in a transaction |
//! | `rows` | the rows as checked types, and the indexes that go with them |
//! | `store` | the file, opened again after an error of the disk |
//! | `thread`, `writer`, `reader` | nothing blocks an async task, and what waits shares a commit |
//! | `insert`, `claim`, `settle`, `cancel`, `worker`, `maintain` | the operations |
//! | `promote`, `rescue`, `prune` | the parts of upkeep |
//! | `inspect`, `pause`, `audit` | what is offered beside the core |
//! | `error` | what an error of redb means to the caller |
//!
//! Jobs outlive the process. One process at a time uses the file.

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
    LeasesRequest, ListRequest, MaintainReply, MaintainRequest, Manage, RegisterRequest, RetireRequest,
    SettleRequest, Settled, Stored, WakeHub, WakeReceiver,
};
use queue_core::{JobId, QueueName, Result};
use redb::{Database, DatabaseError};

use reader::Reader;
use store::Store;
use writer::Writer;

/// Jobs in a redb file.
///
/// Dropping it waits until what was asked of it is done, and closes the file.
#[derive(Debug)]
pub struct RedbBackend {
    writer: Writer,
    reader: Reader,
    hub: WakeHub,
}

impl RedbBackend {
    /// Opens a file, and makes it if it is not there.
    ///
    /// # Errors
    /// [`Busy`](queue_core::ErrorKind::Busy) if another handle has it open,
    /// [`Unavailable`](queue_core::ErrorKind::Unavailable) if it cannot be read,
    /// [`Corrupt`](queue_core::ErrorKind::Corrupt) if it is no redb file.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        Self::open_with(move || Database::create(&path)).await
    }

    async fn open_with(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self> {
        // A file that was not closed in order is looked through first, which takes a while.
        let store = Arc::new(thread::aside(move || Store::open(open)).await?);
        let hub = WakeHub::new();
        let writer = Writer::start(Arc::clone(&store), hub.clone())?;
        Ok(Self { writer, reader: Reader::start(store)?, hub })
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

    // Through the thread that writes: a claim that was made earlier must have taken effect.
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
        self.reader.read(move |snapshot| inspect::jobs(snapshot, &ids)).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        self.reader.read(move |snapshot| inspect::list(snapshot, &request)).await
    }
}

#[async_trait]
impl Manage for RedbBackend {
    async fn pause(&self, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.writer.write(move |tables| pause::pause(tables, &queue)).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.writer.write(move |tables| pause::resume(tables, &queue)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.reader.read(pause::paused).await
    }
}

#[async_trait]
impl Audit for RedbBackend {
    async fn stored(&self) -> Result<Stored> {
        self.reader.read(audit::stored).await
    }
}
