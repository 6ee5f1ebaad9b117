//! Verdicts on their way to the backend: what arrives during a round trip waits for the next.
//!
//! A result exists nowhere else until it is stored. So only an error that is final
//! ([`ErrorKind::is_final`](crate::ErrorKind::is_final)) ends its way; every other one is an outage, however long.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::backend::{SettleRequest, Settled, Settlement, Verdict};
use crate::poison::ignore_poison;
use crate::runtime::environment::later;
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::Station;
use crate::runtime::shared::worker_state::Engine;
use crate::{Error, WorkerId};

/// A settlement that the backend has not answered for good.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unsettled {
    settlement: Settlement,
    /// When the lease is past its deadline, by this worker's clock. Until then nothing but a final error drops it.
    lease_end: Instant,
    /// How long it waits after its next failure, if it has failed by itself before.
    backoff: Option<Duration>,
}

impl Unsettled {
    pub(crate) const fn new(settlement: Settlement, lease_end: Instant) -> Self {
        Self { settlement, lease_end, backoff: None }
    }
}

/// Where the slots leave their verdicts.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<VecDeque<Unsettled>>,
    arrived: Notify,
    under_way: AtomicBool,
}

impl Inbox {
    pub(crate) fn push(&self, unsettled: Unsettled) {
        let mut waiting = ignore_poison(self.waiting.lock());
        waiting.push_back(unsettled);
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Whether nothing waits and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        !self.under_way.load(Ordering::Acquire) && ignore_poison(self.waiting.lock()).is_empty()
    }

    /// Takes up to `most` beside those that `held` says the settle loop still has.
    fn take(&self, most: usize, held: bool) -> Vec<Unsettled> {
        let mut waiting = ignore_poison(self.waiting.lock());
        self.under_way.store(held || !waiting.is_empty(), Ordering::Release);
        let most = most.min(waiting.len());
        waiting.drain(..most).collect()
    }
}

/// Settles what the slots leave, until the worker has stopped.
pub(crate) async fn serve(engine: Arc<Engine>, station: Arc<Station>) {
    let outage = Outage::new(&engine, "settle jobs");
    SettleLoop { engine: &engine, station: &station, outage, apart: Vec::new() }.run().await;
}

struct SettleLoop<'a> {
    engine: &'a Engine,
    station: &'a Station,
    outage: Outage<'a>,
    /// Settlements that failed while others were settled, and when each is tried again.
    apart: Vec<(Instant, Unsettled)>,
}

impl SettleLoop<'_> {
    async fn run(mut self) {
        let most = self.engine.settings.batch * 2;
        loop {
            let mut batch = self.take_due();
            batch.extend(self.station.inbox.take(most, !batch.is_empty() || !self.apart.is_empty()));
            if !batch.is_empty() {
                self.settle(batch).await;
                continue;
            }
            let next = self.apart.iter().map(|(at, _)| *at).min();
            let now = self.engine.now();
            let wait = next.map_or(Duration::MAX, |next| next.saturating_duration_since(now));
            tokio::select! {
                biased;
                () = self.station.inbox.arrived.notified() => {}
                () = self.engine.stop_settles.cancelled() => return self.settle_last().await,
                () = self.engine.environment.sleep(wait), if next.is_some() => {}
            }
        }
    }

    /// The worker stops: what waits to be tried again is tried once more.
    async fn settle_last(&mut self) {
        let mut last: Vec<Unsettled> = self.apart.drain(..).map(|(_, unsettled)| unsettled).collect();
        while !last.is_empty() {
            self.settle(last).await;
            // What was refused for good is failed instead.
            last = self.take_due();
        }
    }

    fn take_due(&mut self) -> Vec<Unsettled> {
        let now = self.engine.now();
        self.apart.extract_if(.., |(at, _)| *at <= now).map(|(_, unsettled)| unsettled).collect()
    }

    /// Settles a batch, however long the storage is away: a token that settled already is `Done` again.
    async fn settle(&mut self, batch: Vec<Unsettled>) {
        let worker = self.station.identity().unwrap_or_else(WorkerId::generate);
        let mut work = VecDeque::from([batch]);
        while let Some(batch) = work.pop_front() {
            let settlements = batch.iter().map(|unsettled| unsettled.settlement.clone()).collect();
            match self.station.backend.settle(SettleRequest::new(worker, settlements)).await {
                Ok(answers) => {
                    self.outage.over();
                    self.station.end_settle_outage();
                    self.sort_out(batch, answers);
                }
                Err(error) if error.is_final() => work.extend(halve(batch, &error)),
                Err(error) => {
                    // Otherwise the worker would go on to run jobs whose ends it cannot write down.
                    self.station.begin_settle_outage();
                    self.outage.report(&error);
                    self.outage.wait().await;
                    work.push_front(batch);
                }
            }
        }
    }

    /// Puts aside what is to be settled again: what failed for now, and, as a failure, what cannot be stored.
    fn sort_out(&mut self, batch: Vec<Unsettled>, answers: Vec<crate::Result<Settled>>) {
        for (unsettled, answer) in batch.into_iter().zip(answers) {
            let job = unsettled.settlement.token.job;
            match answer {
                Ok(Settled::Done) => {}
                Ok(Settled::LeaseLost) => {
                    tracing::warn!(%job, "the lease was lost before the job was settled");
                }
                Err(error) if error.is_final() => {
                    self.apart
                        .extend(as_failure(unsettled, &error).map(|failure| (self.engine.now(), failure)));
                }
                Err(error) => self.try_again(unsettled, &error),
            }
        }
    }

    /// By itself, so that those who are settled meanwhile do not wait for it.
    fn try_again(&mut self, mut unsettled: Unsettled, error: &Error) {
        let (now, job) = (self.engine.now(), unsettled.settlement.token.job);
        if unsettled.lease_end <= now && !error.is_retryable() {
            tracing::error!(%job, %error, "the job could not be settled before its lease ended; its end is dropped");
            return;
        }
        let settings = &self.engine.settings;
        let wait = unsettled.backoff.unwrap_or_else(|| {
            tracing::warn!(%job, %error, "could not settle the job; it is tried again until its lease ends");
            settings.outage_backoff
        });
        unsettled.backoff = Some(wait.saturating_mul(2).min(settings.outage_backoff_cap));
        self.apart.push((later(now, wait), unsettled));
    }
}

/// A batch that was refused for good is halved until the culprit is alone.
fn halve(mut batch: Vec<Unsettled>, error: &Error) -> Vec<Vec<Unsettled>> {
    if batch.len() > 1 {
        let rest = batch.split_off(batch.len() / 2);
        return vec![batch, rest];
    }
    let again: Vec<Unsettled> = batch.into_iter().filter_map(|one| as_failure(one, error)).collect();
    if again.is_empty() { Vec::new() } else { vec![again] }
}

/// A result that cannot be stored fails its attempt; if the failure cannot be stored either, the
/// lease is left to its deadline.
fn as_failure(unsettled: Unsettled, error: &Error) -> Option<Unsettled> {
    let Settlement { token, verdict } = unsettled.settlement;
    let job = token.job;
    match verdict {
        Verdict::Complete { result: Some(_) } => {
            tracing::error!(%job, %error, "the result cannot be stored; the attempt is failed");
            let error = format!("the result cannot be stored: {}", error.message());
            let delay = crate::limits::DEFAULT_RETRY_BASE;
            let verdict = Verdict::Retry { error, delay };
            Some(Unsettled { settlement: Settlement::new(token, verdict), ..unsettled })
        }
        _ => {
            tracing::error!(%job, %error, "the job cannot be settled; its lease is left to its deadline");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::claimed;

    fn complete(result: Option<Vec<u8>>) -> Unsettled {
        let settlement = Settlement::new(claimed(0).token, Verdict::Complete { result });
        Unsettled::new(settlement, Instant::now())
    }

    #[test]
    fn a_batch_is_taken_in_order_and_bounded() {
        let inbox = Inbox::default();
        let all: Vec<_> = (0..5).map(|_| complete(None)).collect();
        all.iter().for_each(|one| inbox.push(one.clone()));
        assert_eq!(inbox.take(3, false), all[..3]);
        assert!(!inbox.is_idle());
        assert_eq!(inbox.take(3, false), all[3..]);
        assert!(inbox.take(3, true).is_empty());
        assert!(!inbox.is_idle(), "the settle loop holds some");
        assert!(inbox.take(3, false).is_empty());
        assert!(inbox.is_idle());
    }

    #[test]
    fn a_poisoned_item_ends_alone() {
        let poison = Error::invalid("settle", "poison");
        let batch: Vec<_> = (0..5).map(|_| complete(None)).collect();
        let mut work = halve(batch, &poison);
        assert_eq!(work.iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
        assert!(halve(work.remove(0), &poison).iter().all(|half| half.len() == 1));
        assert!(halve(vec![complete(None)], &poison).is_empty());
        let failed = halve(vec![complete(Some(vec![1]))], &poison);
        assert!(matches!(failed[0][0].settlement.verdict, Verdict::Retry { .. }));
    }
}
