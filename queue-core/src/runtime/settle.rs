//! Verdicts on their way to the backend: what arrives during a round trip waits for the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::engine::Engine;
use super::outage::Outage;
use super::station::Station;
use crate::backend::{SettleRequest, Settled, Settlement, Verdict};
use crate::{Error, WorkerId};

/// Where the slots leave their verdicts.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Vec<Settlement>>,
    arrived: Notify,
    under_way: AtomicBool,
}

impl Inbox {
    pub(super) fn push(&self, settlement: Settlement) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(settlement);
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Whether nothing waits and nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        !self.under_way.load(Ordering::Acquire)
            && self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self, most: usize) -> Vec<Settlement> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.under_way.store(!waiting.is_empty(), Ordering::Release);
        if waiting.len() <= most {
            return std::mem::take(&mut *waiting);
        }
        let rest = waiting.split_off(most);
        std::mem::replace(&mut *waiting, rest)
    }
}

/// Settles what the slots leave, until the worker has stopped.
pub(super) async fn serve(engine: Arc<Engine>, station: Arc<Station>) {
    loop {
        let batch = station.inbox.take(engine.settings.batch * 2);
        if !batch.is_empty() {
            settle(&engine, &station, batch).await;
            continue;
        }
        tokio::select! {
            biased;
            () = station.inbox.arrived.notified() => {}
            () = engine.stop_settles.cancelled() => return,
        }
    }
}

/// Settles a batch, however long the storage is away: a token that settled already is `Done` again.
async fn settle(engine: &Engine, station: &Station, batch: Vec<Settlement>) {
    let worker = station.identity().unwrap_or_else(WorkerId::generate);
    let mut outage = Outage::new(engine, "settle jobs");
    let mut work = vec![batch];
    while let Some(batch) = work.pop() {
        match station.backend.settle(SettleRequest::new(worker, batch.clone())).await {
            Ok(answers) => {
                let again = sort_out(batch, answers);
                if !again.is_empty() {
                    // Together with what has arrived meanwhile: it may be this one alone that fails.
                    outage.wait().await;
                    again.into_iter().for_each(|one| station.inbox.push(one));
                }
            }
            Err(error) if error.is_retryable() => {
                outage.report(&error);
                outage.wait().await;
                work.push(batch);
            }
            Err(error) => work.extend(halve(batch, &error)),
        }
    }
}

/// What is to be settled again: what failed for now, and, as a failure, what cannot be stored.
fn sort_out(batch: Vec<Settlement>, answers: Vec<crate::Result<Settled>>) -> Vec<Settlement> {
    let judge = |(settlement, answer): (Settlement, crate::Result<Settled>)| match answer {
        Ok(Settled::Done) => None,
        Ok(Settled::LeaseLost) => {
            tracing::warn!(job = %settlement.token.job, "the lease was lost before the job was settled");
            None
        }
        Err(error) if error.is_retryable() => Some(settlement),
        Err(error) => as_failure(&settlement, &error),
    };
    batch.into_iter().zip(answers).filter_map(judge).collect()
}

/// A batch that failed for good is halved until the culprit is alone.
fn halve(mut batch: Vec<Settlement>, error: &Error) -> Vec<Vec<Settlement>> {
    if batch.len() > 1 {
        let rest = batch.split_off(batch.len() / 2);
        return vec![batch, rest];
    }
    let again: Vec<Settlement> = batch.iter().filter_map(|one| as_failure(one, error)).collect();
    if again.is_empty() { Vec::new() } else { vec![again] }
}

/// A result that cannot be stored fails its attempt; if the failure cannot be stored either, the
/// lease is left to its deadline.
fn as_failure(settlement: &Settlement, error: &Error) -> Option<Settlement> {
    let job = settlement.token.job;
    match settlement.verdict {
        Verdict::Complete { result: Some(_) } => {
            tracing::error!(%job, %error, "the result cannot be stored; the attempt is failed");
            let error = format!("the result cannot be stored: {}", error.message());
            let delay = crate::limits::DEFAULT_RETRY_BASE;
            Some(Settlement::new(settlement.token, Verdict::Retry { error, delay }))
        }
        _ => {
            tracing::error!(%job, %error, "the job cannot be settled; its lease is left to its deadline");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::claimed;
    use super::*;
    use crate::ErrorKind;

    fn complete(result: Option<Vec<u8>>) -> Settlement {
        Settlement::new(claimed(0).token, Verdict::Complete { result })
    }

    #[test]
    fn a_batch_is_taken_in_order_and_bounded() {
        let inbox = Inbox::default();
        let all: Vec<_> = (0..5).map(|_| complete(None)).collect();
        all.iter().for_each(|one| inbox.push(one.clone()));
        assert_eq!(inbox.take(3), all[..3]);
        assert!(!inbox.is_idle());
        assert_eq!(inbox.take(3), all[3..]);
        assert!(inbox.take(3).is_empty());
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
        assert!(matches!(failed[0][0].verdict, Verdict::Retry { .. }));
    }

    #[test]
    fn only_what_failed_for_now_is_settled_again() {
        let batch: Vec<_> = (0..4).map(|_| complete(None)).collect();
        let busy = Error::new(ErrorKind::Busy, "settle", "busy");
        let answers =
            vec![Ok(Settled::Done), Err(busy), Ok(Settled::LeaseLost), Err(Error::invalid("settle", "x"))];
        assert_eq!(sort_out(batch.clone(), answers), batch[1..2]);
    }
}
