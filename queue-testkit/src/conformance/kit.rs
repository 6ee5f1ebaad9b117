//! What a case gets.

mod handles;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use queue_core::Backend;

use super::journal::Journal;
use super::recorded::Recorded;
use super::session::{Session, Shared};
use super::settings::Settings;
use super::subject::{Storage, Subject};
use crate::child::Record;

/// A storage of the case's own, with one handle open: the [`Session`] that it derefs to.
pub(crate) struct Kit {
    session: Arc<Session>,
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    journal: Arc<Journal>,
    subject: Arc<dyn Subject>,
    settings: Arc<Settings>,
    seed_used: AtomicBool,
}

impl Kit {
    /// Makes a fresh storage.
    pub(crate) async fn new(
        subject: Arc<dyn Subject>,
        settings: Arc<Settings>,
        journal: Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let storage =
            subject.create().await.map_err(|error| anyhow!("the subject's `create` failed: {error}"))?;
        let shared = Arc::new(Shared::new());
        let backend = open(&*storage, &journal, "").await?;
        let session = Arc::new(Session::new(backend, Arc::clone(&shared)));
        Ok(Self { session, shared, storage, journal, subject, settings, seed_used: AtomicBool::new(false) })
    }

    /// The handle itself, for tasks that run at the same time.
    pub(crate) fn handle(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// A second handle on the same storage, as another process has it.
    pub(crate) async fn open_second(&self) -> anyhow::Result<Session> {
        let backend = open(&*self.storage, &self.journal, "second: ").await?;
        Ok(Session::new(backend, Arc::clone(&self.shared)))
    }

    /// Closes the handle and opens the storage again.
    pub(crate) async fn reopen(&self) -> anyhow::Result<()> {
        self.journal.note("(the storage is closed and opened again)");
        drop(self.session.replace(None));
        let backend = open(&*self.storage, &self.journal, "").await?;
        self.session.replace(Some(backend));
        Ok(())
    }

    /// Another storage, for cases that run many sequences.
    pub(crate) async fn fresh(&self) -> anyhow::Result<Self> {
        Self::new(Arc::clone(&self.subject), Arc::clone(&self.settings), Arc::clone(&self.journal)).await
    }

    /// By which children find the storage.
    pub(crate) fn address(&self) -> Option<String> {
        self.storage.address()
    }

    /// Another storage, which nobody has opened.
    pub(crate) async fn storage_without_a_schema(&self) -> anyhow::Result<Arc<dyn Storage>> {
        self.subject.create().await.map_err(|error| anyhow!("the subject's `create` failed: {error}"))
    }

    /// A handle on a storage that is not the case's own.
    pub(crate) async fn open_on(&self, storage: &dyn Storage) -> anyhow::Result<Session> {
        let backend = open(storage, &self.journal, "other storage: ").await?;
        Ok(Session::new(backend, Arc::new(Shared::new())))
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

async fn open(
    storage: &dyn Storage,
    journal: &Arc<Journal>,
    handle: &str,
) -> anyhow::Result<Arc<dyn Backend>> {
    let backend = storage.open().await.map_err(|error| anyhow!("the storage's `open` failed: {error}"))?;
    Ok(Arc::new(Recorded::new(backend, Arc::clone(journal), handle)))
}
