//! Injects faults into the storage of a case and mends them.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep, sleep_until};
use tokio::try_join;

use super::super::check::CaseResult;
use super::super::fault::{CaseStorage, Fault, Injected};
use super::super::journal::Journal;
use super::super::session::Session;
use super::super::wait::in_time;
use super::Kit;

/// Pause before a retry.
const PAUSE: Duration = Duration::from_millis(5);

/// Maximum number of injections of a momentary fault until it has hit every phase of the work.
pub(crate) const MAX_INJECTIONS: usize = 200;
/// Number of different delays between the start of the work and the injection.
const DELAYS: u32 = 10;
/// Difference of two delays, about the finest resolution of timers.
const STEP: Duration = Duration::from_millis(1);

/// A fault that is in effect.
pub(crate) struct ActiveFault<'a> {
    injected: Box<dyn Injected>,
    journal: &'a Journal,
    fault: Fault,
}

impl Kit {
    /// The fault of this run of the case.
    pub(crate) fn fault(&self) -> anyhow::Result<Fault> {
        match &self.storage {
            CaseStorage::Faulty(_, fault) => Ok(*fault),
            CaseStorage::Plain(_) => bail!("the case runs without a fault"),
        }
    }

    /// Injects the fault.
    pub(crate) async fn inject(&self, target: &[u8]) -> anyhow::Result<ActiveFault<'_>> {
        let CaseStorage::Faulty(storage, fault) = &self.storage else {
            bail!("the case runs without a fault")
        };
        let journal = &*self.journal;
        journal.note(&format!("(the fault `{fault}` is injected)"));
        let injected = in_time("the fault to be injected", storage.inject(target)).await?;
        let injected =
            injected.map_err(|error| cause(error, format!("the fault `{fault}` cannot be injected")))?;
        Ok(ActiveFault { injected, journal, fault: *fault })
    }

    /// Inserts, claims and settles a job on the handle that met the fault. Retries, because the
    /// handle may have to reconnect.
    pub(crate) async fn works_again(&self) -> CaseResult {
        works_again(&self.impatient()).await
    }
}

/// Does the same on another handle.
pub(crate) async fn works_again(handle: &Session) -> CaseResult {
    retry_until_ok("the handle to work again", || handle.works()).await
}

/// Retries as long as the error is retryable.
pub(crate) async fn retry_until_ok<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let trying = async {
        loop {
            match attempt().await {
                Err(error) if is_retryable(&error) => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    };
    in_time(what, trying).await?
}

/// Whether a retry can succeed.
pub(crate) fn is_retryable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<queue_core::Error>().is_some_and(queue_core::Error::is_retryable)
}

impl ActiveFault<'_> {
    /// Removes the fault.
    pub(crate) async fn mend(self) -> anyhow::Result<()> {
        let Self { injected, journal, fault } = self;
        let mended = in_time("the fault to be mended", injected.mend()).await?;
        journal.note(&format!("(the fault `{fault}` is mended)"));
        mended.map_err(|error| cause(error, format!("the fault `{fault}` cannot be mended")))
    }
}

fn cause(error: Box<dyn std::error::Error + Send + Sync>, what: String) -> anyhow::Error {
    anyhow::Error::from_boxed(error).context(what)
}

/// Injects a momentary fault repeatedly, each time after another delay, so that it hits each phase
/// of the work.
#[derive(Debug, Default)]
pub(crate) struct RepeatedFault {
    round: u32,
    /// Duration of the last injection. The fault happens at some time during it.
    injection_time: Duration,
}

impl RepeatedFault {
    /// Runs the steps of work one after another while the fault is injected. They are spread over
    /// the time in which it may happen. Returns their results in order.
    pub(crate) async fn inject_during<T>(
        &mut self,
        kit: &Kit,
        steps: Vec<impl Future<Output = anyhow::Result<T>>>,
    ) -> anyhow::Result<Vec<T>> {
        let wait = STEP * (self.round % DELAYS);
        self.round += 1;
        let many = u32::try_from(steps.len()).unwrap_or(u32::MAX).max(1);
        let (start, every) = (Instant::now(), (wait + self.injection_time) / many);
        let work = async {
            let mut answers = Vec::with_capacity(steps.len());
            for (number, step) in (0..).zip(steps) {
                sleep_until(start + every * number).await;
                answers.push(step.await?);
            }
            anyhow::Ok(answers)
        };
        let fault = async {
            sleep_until(start + wait).await;
            kit.inject(&[]).await?.mend().await?;
            anyhow::Ok(start.elapsed() - wait)
        };
        let (answers, injection_time) = try_join!(work, fault)?;
        self.injection_time = injection_time;
        Ok(answers)
    }
}
