//! Breaking the storage of a case, and mending it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio::try_join;

use super::super::check::CaseResult;
use super::super::fault::{Fault, Injected, Place};
use super::super::journal::Journal;
use super::super::session::Session;
use super::Kit;

/// How long anything may take under a fault, or after it. Never waited for in full unless it is missed.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Before something is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// How often a fault of a moment may come before it has met all that it is to meet.
pub(crate) const MOST_STRIKES: usize = 200;
/// It begins at one of so many moments after the work does, in turn.
const MOMENTS: u32 = 10;
/// Between two of these, about the least that timers keep.
const STEP: Duration = Duration::from_millis(1);

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

    /// After a fault: takes a job through its life on the handle that met it. That may fail for now a few times more,
    /// since whoever was cut off has to connect anew.
    pub(crate) async fn works_again(&self) -> CaseResult {
        works_again(&self.impatient()).await
    }
}

/// The same on another handle.
pub(crate) async fn works_again(handle: &Session) -> CaseResult {
    at_last("the handle to work again", || handle.works()).await
}

/// Tries it again as long as that can help.
pub(crate) async fn at_last<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let trying = async {
        loop {
            match attempt().await {
                Err(error) if passes(&error) => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    };
    in_time(what, trying).await?
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

/// A fault of a moment that comes again and again, each time at another moment of the work that it is to meet.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    round: u32,
    /// The last time, from the call to its return: the fault comes somewhere in between.
    took: Duration,
}

impl Strikes {
    /// Does one piece of work after another as the fault comes, spread over all the time in which it may, and gives
    /// their answers in order.
    pub(crate) async fn strike<T>(
        &mut self,
        kit: &Kit,
        pieces: Vec<impl Future<Output = anyhow::Result<T>>>,
    ) -> anyhow::Result<Vec<T>> {
        let wait = STEP * (self.round % MOMENTS);
        self.round += 1;
        let many = u32::try_from(pieces.len()).unwrap_or(u32::MAX).max(1);
        let (start, every) = (Instant::now(), (wait + self.took) / many);
        let work = async {
            let mut answers = Vec::with_capacity(pieces.len());
            for (number, piece) in (0..).zip(pieces) {
                sleep_until(start + every * number).await;
                answers.push(piece.await?);
            }
            anyhow::Ok(answers)
        };
        let fault = async {
            sleep_until(start + wait).await;
            kit.inject(&[]).await?.mend().await?;
            anyhow::Ok(start.elapsed() - wait)
        };
        let (answers, took) = try_join!(work, fault)?;
        self.took = took;
        Ok(answers)
    }
}

/// What comes within the [`BOUND`].
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    timeout(BOUND, future).await.with_context(|| format!("waited {BOUND:?} for {what}"))
}
