//! Several handles on one storage.

use std::sync::Arc;

use anyhow::Context as _;
use queue_core::Backend;

use super::super::fault::CaseStorage;
use super::super::race::race;
use super::super::session::{Session, Shared};
use super::faults::retry_until_ok;
use super::{Kit, OPENING, create, open, open_impatient};

/// A storage that is open in several handles, in addition to the case's own handle.
pub(crate) struct OpenedStorage {
    pub(crate) handles: Vec<Arc<Session>>,
    /// Kept, because dropping it removes the data of the handles.
    _storage: CaseStorage,
}

impl Kit {
    /// Returns this many handles for concurrent tasks. They are different handles, as processes
    /// have them, if the backend declares `multi_process`; otherwise clones of the case's own.
    pub(crate) async fn handles(&self, many: usize) -> anyhow::Result<Vec<Arc<Session>>> {
        let is_shared = self.backend()?.capabilities().multi_process;
        let mut handles = vec![self.handle()];
        while handles.len() < many {
            let next = if is_shared { Arc::new(self.open_second().await?) } else { self.handle() };
            handles.push(next);
        }
        Ok(handles)
    }

    /// The handle that meets the fault. It has a short timeout if the fault makes it wait. Steps
    /// that prepare a case or read its outcome use the case's own handle, with its usual timeout.
    pub(crate) fn impatient(&self) -> Arc<Session> {
        Arc::clone(&self.impatient)
    }

    /// Returns two impatient handles, or two of [`handles`](Self::handles).
    pub(crate) async fn two_impatient(&self) -> anyhow::Result<Vec<Arc<Session>>> {
        match retry_until_ok(OPENING, || self.try_open_second_impatient()).await? {
            Some(second) => Ok(vec![self.impatient(), Arc::new(second)]),
            None => self.handles(2).await,
        }
    }

    /// Opens a second handle while the fault is in effect. It has a short timeout if the fault
    /// makes it wait.
    pub(crate) async fn open_second_under_the_fault(&self) -> anyhow::Result<Session> {
        match self.try_open_second_impatient().await? {
            Some(second) => Ok(second),
            None => self.open_second().await,
        }
    }

    /// Opens a second impatient handle if the fault needs one.
    async fn try_open_second_impatient(&self) -> anyhow::Result<Option<Session>> {
        let opened = open_impatient(&self.storage, &self.journal, &self.shared, "second impatient: ").await?;
        Ok(opened.map(|backend| self.session_on(backend)))
    }

    /// Creates another storage, which this many handles open concurrently, before it has a schema.
    pub(crate) async fn open_fresh_at_once(&self, many: usize) -> anyhow::Result<OpenedStorage> {
        let storage = create(&*self.subject, None).await?;
        self.open_at_once(storage, &Arc::new(Shared::new()), many).await
    }

    /// Opens this many further handles on the case's storage concurrently.
    pub(crate) async fn open_more_at_once(&self, many: usize) -> anyhow::Result<OpenedStorage> {
        self.open_at_once(self.storage.clone(), &self.shared, many).await
    }

    /// Closes the case's handle and opens this many others concurrently. The first of them becomes
    /// the case's own.
    pub(crate) async fn reopen_at_once(&self, many: usize) -> anyhow::Result<OpenedStorage> {
        drop(self.session.replace(None));
        let opened = self.open_more_at_once(many).await?;
        let first = opened.handles.first().context("no handle was opened")?;
        self.session.replace(Some(first.backend()?));
        Ok(opened)
    }

    async fn open_at_once(
        &self,
        storage: CaseStorage,
        shared: &Arc<Shared>,
        many: usize,
    ) -> anyhow::Result<OpenedStorage> {
        let opening = |number: usize| {
            let (storage, journal) = (storage.clone(), Arc::clone(&self.journal));
            let shared = Arc::clone(shared);
            async move { open(storage.as_storage(), &journal, &shared, &format!("handle {number}: ")).await }
        };
        let backends: Vec<Arc<dyn Backend>> = race((1..=many).map(opening).collect()).await?;
        let session = |backend| Arc::new(Session::new(backend, Arc::clone(shared)));
        Ok(OpenedStorage { handles: backends.into_iter().map(session).collect(), _storage: storage })
    }
}
