//! The tools of a case.

pub(crate) mod faults;
mod handles;
pub(crate) mod transactions;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use queue_core::{Backend, JobId};

use self::faults::retry_until_ok;
use super::fault::{CaseStorage, Fault};
use super::journal::Journal;
use super::recorded::Recorded;
use super::session::{Session, Shared};
use super::settings::Settings;
use super::storage::Storage;
use super::subject::Subject;
use crate::child::Record;

/// Names the wait for an impatient handle in errors. Opening may time out a few times on a busy
/// machine, although no fault is in effect.
const OPENING: &str = "an impatient handle to be opened";

/// A storage that no other case uses, with one open handle: the [`Session`] that this derefs to.
pub(crate) struct Kit {
    session: Arc<Session>,
    /// The handle with a short timeout. The same as `session` if the fault makes no handle wait.
    impatient: Arc<Session>,
    shared: Arc<Shared>,
    storage: CaseStorage,
    journal: Arc<Journal>,
    subject: Arc<dyn Subject>,
    settings: Arc<Settings>,
    seed_used: AtomicBool,
}

impl Kit {
    /// Creates an empty storage and opens it.
    pub(crate) async fn new(
        subject: Arc<dyn Subject>,
        fault: Option<Fault>,
        settings: Arc<Settings>,
        journal: Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let storage = create(&*subject, fault).await?;
        let shared = Arc::new(Shared::new());
        let backend = open(storage.as_storage(), &journal, &shared, "").await?;
        let session = Arc::new(Session::new(backend, Arc::clone(&shared)));
        let opened =
            retry_until_ok(OPENING, || open_impatient(&storage, &journal, &shared, "impatient: ")).await?;
        let impatient = match opened {
            Some(backend) => Arc::new(Session::new(backend, Arc::clone(&shared))),
            None => Arc::clone(&session),
        };
        let seed_used = AtomicBool::new(false);
        Ok(Self { session, impatient, shared, storage, journal, subject, settings, seed_used })
    }

    /// The open handle, for concurrent tasks.
    pub(crate) fn handle(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// Opens a second handle on the storage, like that of another process.
    pub(crate) async fn open_second(&self) -> anyhow::Result<Session> {
        let backend = open(self.storage.as_storage(), &self.journal, &self.shared, "second: ").await?;
        Ok(Session::new(backend, Arc::clone(&self.shared)))
    }

    /// Closes the handle, so that another process can open a storage of one process at a time.
    pub(crate) fn close(&self) {
        self.journal.note("(the storage is closed)");
        drop(self.session.replace(None));
    }

    /// Closes the handle and opens the storage again.
    pub(crate) async fn reopen(&self) -> anyhow::Result<()> {
        self.journal.note("(the storage is closed and opened again)");
        drop(self.session.replace(None));
        let backend = open(self.storage.as_storage(), &self.journal, &self.shared, "").await?;
        self.session.replace(Some(backend));
        Ok(())
    }

    /// Creates another storage, for cases that run many sequences.
    pub(crate) async fn fresh(&self) -> anyhow::Result<Self> {
        let fault = self.fault().ok();
        Self::new(Arc::clone(&self.subject), fault, Arc::clone(&self.settings), Arc::clone(&self.journal))
            .await
    }

    /// The address by which children attach to the storage.
    pub(crate) fn address(&self) -> Option<String> {
        self.storage.as_storage().address()
    }

    /// Whether storages can be backed up.
    pub(crate) async fn can_back_up(&self) -> anyhow::Result<bool> {
        let backup = self.storage.as_storage().back_up().await;
        Ok(backup.map_err(|error| anyhow!("the storage's `back_up` failed: {error}"))?.is_some())
    }

    /// Makes a stored job unreadable. Returns whether the storage can do that.
    pub(crate) async fn damage(&self, job: JobId) -> anyhow::Result<bool> {
        self.journal.note(&format!("(job {job} is damaged)"));
        let damaged = self.storage.as_storage().damage(job).await;
        damaged.map_err(|error| anyhow!("the storage's `damage` failed: {error}"))
    }

    /// Creates another storage without opening it.
    pub(crate) async fn storage_without_a_schema(&self) -> anyhow::Result<Arc<dyn Storage>> {
        self.subject.create().await.map_err(|error| anyhow!("the subject's `create` failed: {error}"))
    }

    /// Opens a handle on another storage than that of the case.
    pub(crate) async fn open_on(&self, storage: &dyn Storage) -> anyhow::Result<Session> {
        let shared = Arc::new(Shared::new());
        let backend = open(storage, &self.journal, &shared, "other storage: ").await?;
        Ok(Session::new(backend, shared))
    }

    /// Creates a session on a handle that the case has wrapped.
    pub(crate) fn session_on(&self, backend: Arc<dyn Backend>) -> Session {
        Session::new(backend, Arc::clone(&self.shared))
    }

    /// Adds a step of the case, and the child that it concerns, to the journal.
    pub(crate) fn note(&self, what: &str, child: Option<Record>) {
        self.journal.note(what);
        child.into_iter().for_each(|child| self.journal.add_child(child));
    }

    /// The seed of the case. After this call, a failure prints it.
    pub(crate) fn seed(&self) -> u64 {
        self.seed_used.store(true, Ordering::Relaxed);
        self.settings.seed
    }

    /// The seed if the case has used it.
    pub(crate) fn seed_if_used(&self) -> Option<u64> {
        self.seed_used.load(Ordering::Relaxed).then_some(self.settings.seed)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Deref for Kit {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

async fn create(subject: &dyn Subject, fault: Option<Fault>) -> anyhow::Result<CaseStorage> {
    let created = match fault {
        None => subject.create().await.map(CaseStorage::Plain),
        Some(fault) => subject.create_faulty(fault).await.map(|storage| CaseStorage::Faulty(storage, fault)),
    };
    created.map_err(|error| anyhow!("the subject's `create` failed: {error}"))
}

async fn open(
    storage: &dyn Storage,
    journal: &Arc<Journal>,
    shared: &Arc<Shared>,
    handle: &str,
) -> anyhow::Result<Arc<dyn Backend>> {
    let backend = storage.open().await.map_err(open_failed)?;
    Ok(recorded(backend, journal, shared, handle))
}

/// Opens an impatient handle if the fault needs one.
async fn open_impatient(
    storage: &CaseStorage,
    journal: &Arc<Journal>,
    shared: &Arc<Shared>,
    handle: &str,
) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    let CaseStorage::Faulty(storage, _) = storage else { return Ok(None) };
    let Some(backend) = storage.open_impatient().await.map_err(open_failed)? else { return Ok(None) };
    Ok(Some(recorded(backend, journal, shared, handle)))
}

fn recorded(
    backend: Arc<dyn Backend>,
    journal: &Arc<Journal>,
    shared: &Arc<Shared>,
    handle: &str,
) -> Arc<dyn Backend> {
    let name = handle.trim_end_matches(": ");
    let sink = shared.history.process(if name.is_empty() { "the case" } else { name });
    Arc::new(Recorded::new(backend, sink, Arc::clone(journal), handle))
}

/// Keeps an error of `queue_core` as the cause, because [`retry_until_ok`] downcasts to it.
fn open_failed(error: Box<dyn std::error::Error + Send + Sync>) -> anyhow::Error {
    let cause = match error.downcast::<queue_core::Error>() {
        Ok(error) => anyhow::Error::new(*error),
        Err(error) => anyhow!("{error}"),
    };
    cause.context("the storage's `open` failed")
}
