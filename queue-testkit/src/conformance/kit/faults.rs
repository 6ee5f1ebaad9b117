//! Breaking the storage of a case, and mending it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{sleep, timeout};

use super::super::case::CaseResult;
use super::super::fault::{Fault, Injected, Place};
use super::super::journal::Journal;
use super::super::session::Session;
use super::Kit;

/// How long anything may take under a fault, or after it. Never waited for in full unless it is missed.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Before something is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// A fault that is there.
pub(crate) struct Broken<'a> {
    injected: Box<dyn Injected>,
    journal: &'a Journal,
    fault: Fault,
}

impl Kit {
    /// The fault that the case runs under.
    pub(crate) fn fault(&self) -> anyhow::Result<Fault> {
        match &self.place {
            Place::Faulty(_, fault) => Ok(*fault),
            Place::Plain(_) => bail!("the case names no faults"),
        }
    }

    /// Brings the fault about.
    pub(crate) async fn inject(&self, target: &[u8]) -> anyhow::Result<Broken<'_>> {
        let Place::Faulty(storage, fault) = &self.place else { bail!("the case names no faults") };
        let journal = &*self.journal;
        journal.note(&format!("(the fault `{fault}` is brought about)"));
        let injected = in_time("the fault to be there", storage.inject(target)).await?;
        let injected =
            injected.map_err(|error| cause(error, format!("the fault `{fault}` cannot be brought about")))?;
        Ok(Broken { injected, journal, fault: *fault })
    }

    /// After a fault: takes a job through its life on the same handle. That may fail for now a few times more, since
    /// whoever was cut off has to connect anew.
    pub(crate) async fn works_again(&self) -> CaseResult {
        works_again(self).await
    }
}

/// The same on another handle.
pub(crate) async fn works_again(handle: &Session) -> CaseResult {
    let working = async {
        loop {
            match handle.works().await {
                Err(error) if passes(&error) => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    };
    in_time("the handle to work again", working).await?
}

/// Whether trying again can help.
pub(crate) fn passes(error: &anyhow::Error) -> bool {
    error.downcast_ref::<queue_core::Error>().is_some_and(queue_core::Error::is_retryable)
}

impl Broken<'_> {
    /// Takes it away.
    pub(crate) async fn mend(self) -> anyhow::Result<()> {
        let Self { injected, journal, fault } = self;
        let mended = in_time("the fault to be gone", injected.mend()).await?;
        journal.note(&format!("(the fault `{fault}` is gone)"));
        mended.map_err(|error| cause(error, format!("the fault `{fault}` cannot be mended")))
    }
}

fn cause(error: Box<dyn std::error::Error + Send + Sync>, what: String) -> anyhow::Error {
    anyhow::Error::from_boxed(error).context(what)
}

/// What comes within the [`BOUND`].
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    timeout(BOUND, future).await.with_context(|| format!("waited {BOUND:?} for {what}"))
}
