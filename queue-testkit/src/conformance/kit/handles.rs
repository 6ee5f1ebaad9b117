//! Several handles on one storage.

use std::sync::Arc;

use anyhow::Context as _;
use queue_core::Backend;

use super::super::fault::Place;
use super::super::race::race;
use super::super::session::{Session, Shared};
use super::faults::at_last;
use super::{Kit, OPENING, create, open, open_impatient};

/// A storage that several handles opened, beside the case's own.
pub(crate) struct Opened {
    pub(crate) handles: Vec<Arc<Session>>,
    /// Dropping it would remove what the handles work on.
    _place: Place,
}

impl Kit {
    /// This many handles for tasks that race: different ones, as processes have them, where the
    /// backend permits that; else the case's own.
    pub(crate) async fn handles(&self, many: usize) -> anyhow::Result<Vec<Arc<Session>>> {
        let is_shared = self.backend()?.capabilities().multi_process;
        let mut handles = vec![self.handle()];
        while handles.len() < many {
            let next = if is_shared { Arc::new(self.open_second().await?) } else { self.handle() };
            handles.push(next);
        }
        Ok(handles)
    }

    /// The handle that is to meet the fault: it gives up soon where that makes it wait. What prepares a case, and what
    /// looks at the outcome, uses the case's own, which waits as long as others do.
    pub(crate) fn impatient(&self) -> Arc<Session> {
        Arc::clone(&self.impatient)
    }

    /// Two of them, or of [`handles`](Self::handles).
    pub(crate) async fn two_impatient(&self) -> anyhow::Result<Vec<Arc<Session>>> {
        match at_last(OPENING, || self.try_open_second_impatient()).await? {
            Some(second) => Ok(vec![self.impatient(), Arc::new(second)]),
            None => self.handles(2).await,
        }
    }

    /// A second handle that gives up soon where the fault makes it wait, opened while that stands.
    pub(crate) async fn open_second_under_the_fault(&self) -> anyhow::Result<Session> {
        match self.try_open_second_impatient().await? {
            Some(second) => Ok(second),
            None => self.open_second().await,
        }
    }

    /// If the fault wants such a handle.
    async fn try_open_second_impatient(&self) -> anyhow::Result<Option<Session>> {
        let opened = open_impatient(&self.place, &self.journal, &self.shared, "second impatient: ").await?;
        Ok(opened.map(|backend| self.session_on(backend)))
    }

    /// Makes another storage, which this many handles open at the same moment, before it has a schema.
    pub(crate) async fn open_fresh_at_once(&self, many: usize) -> anyhow::Result<Opened> {
        let place = create(&*self.subject, None).await?;
        self.open_at_once(place, &Arc::new(Shared::new()), many).await
    }

    /// Opens the case's own storage by this many further handles at the same moment.
    pub(crate) async fn open_more_at_once(&self, many: usize) -> anyhow::Result<Opened> {
        self.open_at_once(self.place.clone(), &self.shared, many).await
    }

    /// Closes the case's handle, and has this many others open the storage at the same moment; the
    /// first of them becomes the case's own.
    pub(crate) async fn reopen_at_once(&self, many: usize) -> anyhow::Result<Opened> {
        drop(self.session.replace(None));
        let opened = self.open_more_at_once(many).await?;
        let first = opened.handles.first().context("no handle was opened")?;
        self.session.replace(Some(first.backend()?));
        Ok(opened)
    }

    async fn open_at_once(&self, place: Place, shared: &Arc<Shared>, many: usize) -> anyhow::Result<Opened> {
        let opening = |number: usize| {
            let (place, journal) = (place.clone(), Arc::clone(&self.journal));
            let shared = Arc::clone(shared);
            async move { open(place.storage(), &journal, &shared, &format!("handle {number}: ")).await }
        };
        let backends: Vec<Arc<dyn Backend>> = race((1..=many).map(opening).collect()).await?;
        let session = |backend| Arc::new(Session::new(backend, Arc::clone(shared)));
        Ok(Opened { handles: backends.into_iter().map(session).collect(), _place: place })
    }
}
