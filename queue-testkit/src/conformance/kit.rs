//! What a case gets.

pub(crate) mod faults;
mod handles;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use queue_core::Backend;

use self::faults::at_last;
use super::fault::{Fault, Place};
use super::journal::Journal;
use super::recorded::Recorded;
use super::session::{Session, Shared};
use super::settings::Settings;
use super::storage::Storage;
use super::subject::Subject;
use crate::child::Record;

/// What is waited for where an impatient handle is opened while no fault stands: on a busy machine it may give up a few
/// times.
const OPENING: &str = "an impatient handle to be opened";

/// A storage of the case's own, with one handle open: the [`Session`] that it derefs to.
pub(crate) struct Kit {
    session: Arc<Session>,
    /// The same, unless the fault makes handles wait.
    impatient: Arc<Session>,
    shared: Arc<Shared>,
    place: Place,
    journal: Arc<Journal>,
    subject: Arc<dyn Subject>,
    settings: Arc<Settings>,
    seed_used: AtomicBool,
}

impl Kit {
    /// Makes a fresh storage.
    pub(crate) async fn new(
        subject: Arc<dyn Subject>,
        fault: Option<Fault>,
        settings: Arc<Settings>,
        journal: Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let place = create(&*subject, fault).await?;
        let shared = Arc::new(Shared::new());
        let backend = open(place.storage(), &journal, &shared, "").await?;
        let session = Arc::new(Session::new(backend, Arc::clone(&shared)));
        let opened = at_last(OPENING, || open_impatient(&place, &journal, &shared, "impatient: ")).await?;
        let impatient = match opened {
            Some(backend) => Arc::new(Session::new(backend, Arc::clone(&shared))),
            None => Arc::clone(&session),
        };
        let seed_used = AtomicBool::new(false);
        Ok(Self { session, impatient, shared, place, journal, subject, settings, seed_used })
    }

    /// The handle itself, for tasks that run at the same time.
    pub(crate) fn handle(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// A second handle on the same storage, as another process has it.
    pub(crate) async fn open_second(&self) -> anyhow::Result<Session> {
        let backend = open(self.place.storage(), &self.journal, &self.shared, "second: ").await?;
        Ok(Session::new(backend, Arc::clone(&self.shared)))
    }

    /// Closes the handle and opens the storage again.
    pub(crate) async fn reopen(&self) -> anyhow::Result<()> {
        self.journal.note("(the storage is closed and opened again)");
        drop(self.session.replace(None));
        let backend = open(self.place.storage(), &self.journal, &self.shared, "").await?;
        self.session.replace(Some(backend));
        Ok(())
    }

    /// Another storage, for cases that run many sequences.
    pub(crate) async fn fresh(&self) -> anyhow::Result<Self> {
        let fault = self.fault().ok();
        Self::new(Arc::clone(&self.subject), fault, Arc::clone(&self.settings), Arc::clone(&self.journal))
            .await
    }

    /// By which children find the storage.
    pub(crate) fn address(&self) -> Option<String> {
        self.place.storage().address()
    }

    /// Whether storages can be backed up.
    pub(crate) async fn can_back_up(&self) -> anyhow::Result<bool> {
        let backup = self.place.storage().back_up().await;
        Ok(backup.map_err(|error| anyhow!("the storage's `back_up` failed: {error}"))?.is_some())
    }

    /// Another storage, which nobody has opened.
    pub(crate) async fn storage_without_a_schema(&self) -> anyhow::Result<Arc<dyn Storage>> {
        self.subject.create().await.map_err(|error| anyhow!("the subject's `create` failed: {error}"))
    }

    /// A handle on a storage that is not the case's own.
    pub(crate) async fn open_on(&self, storage: &dyn Storage) -> anyhow::Result<Session> {
        let shared = Arc::new(Shared::new());
        let backend = open(storage, &self.journal, &shared, "other storage: ").await?;
        Ok(Session::new(backend, shared))
    }

    /// The kit's words on a handle that the case has wrapped.
    pub(crate) fn session_on(&self, backend: Arc<dyn Backend>) -> Session {
        Session::new(backend, Arc::clone(&self.shared))
    }

    /// Notes what the case does, and the child that it does it with.
    pub(crate) fn note(&self, what: &str, child: Option<Record>) {
        self.journal.note(what);
        child.into_iter().for_each(|child| self.journal.add_child(child));
    }

    /// Where the case's randomness begins. Once asked for, a failure prints it.
    pub(crate) fn seed(&self) -> u64 {
        self.seed_used.store(true, Ordering::Relaxed);
        self.settings.seed
    }

    /// The seed, if the case asked for it.
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

async fn create(subject: &dyn Subject, fault: Option<Fault>) -> anyhow::Result<Place> {
    let created = match fault {
        None => subject.create().await.map(Place::Plain),
        Some(fault) => subject.create_faulty(fault).await.map(|storage| Place::Faulty(storage, fault)),
    };
    created.map_err(|error| anyhow!("the subject's `create` failed: {error}"))
}

async fn open(
    storage: &dyn Storage,
    journal: &Arc<Journal>,
    shared: &Arc<Shared>,
    handle: &str,
) -> anyhow::Result<Arc<dyn Backend>> {
    let backend = storage.open().await.map_err(opening)?;
    Ok(recorded(backend, journal, shared, handle))
}

/// If the fault of the place wants such a handle.
async fn open_impatient(
    place: &Place,
    journal: &Arc<Journal>,
    shared: &Arc<Shared>,
    handle: &str,
) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    let Place::Faulty(storage, _) = place else { return Ok(None) };
    let Some(backend) = storage.open_impatient().await.map_err(opening)? else { return Ok(None) };
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

/// The cause is kept where it is one of ours.
fn opening(error: Box<dyn std::error::Error + Send + Sync>) -> anyhow::Error {
    let cause = match error.downcast::<queue_core::Error>() {
        Ok(error) => anyhow::Error::new(*error),
        Err(error) => anyhow!("{error}"),
    };
    cause.context("the storage's `open` failed")
}
