//! What becomes of a settlement that the storage did not accept.
//!
//! A result exists nowhere else until it is stored. Therefore only a final error
//! ([`ErrorKind::is_final`](crate::ErrorKind::is_final)) or the end of the lease drops it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Completion, Settlement, Verdict};
use crate::events::NotedAttempt;
use crate::limits::DEFAULT_RETRY_BASE;
use crate::runtime::decide::deadline::later;
use crate::runtime::settings::WorkerSettings;
use crate::{Error, JobId};

/// A settlement that the storage has not yet answered for good.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PendingSettlement {
    pub(crate) settlement: Settlement,
    /// The deadline of the lease, by this worker's clock. Before it, only a final error drops the
    /// settlement.
    lease_end: Instant,
    /// A transaction of the application may have completed the job: then the lease has ended, and
    /// the settlement is only for the case that there was no commit.
    pub(crate) may_be_completed: bool,
    /// The attempt, for the event of its end.
    pub(crate) attempt: Option<Arc<NotedAttempt>>,
    /// The wait after the next failure, if it has failed on its own before.
    backoff: Option<Duration>,
}

/// After a failure that is not final.
#[derive(Debug, PartialEq)]
pub(crate) enum FailedSettlement {
    /// Settle it again at this moment.
    Retry { at: Instant, pending: PendingSettlement, is_first_failure: bool },
    /// The lease has ended: the storage will not accept it any more.
    Drop,
}

/// After a final error for a settlement that was alone in its request.
#[derive(Debug, PartialEq)]
pub(crate) enum RejectedSettlement {
    /// The result cannot be stored: settle the attempt as failed instead.
    FailAttempt(PendingSettlement),
    /// Nothing can be stored: the lease runs to its deadline.
    Drop,
}

impl PendingSettlement {
    pub(crate) const fn new(settlement: Settlement, lease_end: Instant) -> Self {
        Self { settlement, lease_end, may_be_completed: false, attempt: None, backoff: None }
    }

    /// Sets whether a transaction of the application may have completed the job.
    pub(crate) const fn after_transaction(mut self, may_be_completed: bool) -> Self {
        self.may_be_completed = may_be_completed;
        self
    }

    /// Sets the attempt, if its end is an event.
    pub(crate) fn of_attempt(mut self, attempt: Option<Arc<NotedAttempt>>) -> Self {
        self.attempt = attempt;
        self
    }

    pub(crate) const fn job(&self) -> JobId {
        self.settlement.token.job
    }

    /// Decides after an error that is not final.
    pub(crate) fn failed(
        mut self,
        error: &Error,
        now: Instant,
        settings: &WorkerSettings,
    ) -> FailedSettlement {
        if self.lease_end <= now && !error.is_retryable() {
            return FailedSettlement::Drop;
        }
        let is_first_failure = self.backoff.is_none();
        let wait = self.backoff.unwrap_or(settings.outage_backoff);
        self.backoff = Some(wait.saturating_mul(2).min(settings.outage_backoff_cap));
        FailedSettlement::Retry { at: later(now, wait), pending: self, is_first_failure }
    }

    /// Decides after a final error.
    pub(crate) fn rejected(self, error: &Error) -> RejectedSettlement {
        let Settlement { token, verdict, ran_for } = self.settlement;
        let Verdict::Complete(Completion { result, follow_ups }) = verdict else {
            return RejectedSettlement::Drop;
        };
        let refused = match (result.is_some(), follow_ups.is_empty()) {
            (false, true) => return RejectedSettlement::Drop,
            (true, true) => "the result cannot be stored",
            (false, false) => "the follow-up jobs cannot be stored",
            (true, false) => "the result or the follow-up jobs cannot be stored",
        };
        let error = format!("{refused}: {}", error.message());
        let verdict = Verdict::Retry { error, delay: DEFAULT_RETRY_BASE };
        let settlement = Settlement::new(token, verdict).ran_for(ran_for);
        RejectedSettlement::FailAttempt(Self { settlement, ..self })
    }
}

/// Halves a batch that the storage refused as a whole, until the cause is alone. Fails with the
/// batch if it cannot be halved.
pub(crate) fn halve(
    mut batch: Vec<PendingSettlement>,
) -> Result<[Vec<PendingSettlement>; 2], Vec<PendingSettlement>> {
    if batch.len() < 2 {
        return Err(batch);
    }
    let rest = batch.split_off(batch.len() / 2);
    Ok([batch, rest])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::runtime::testing::completed;

    #[test]
    fn refused_batch_is_halved_down_to_one() {
        let [two, three] = halve((0..5).map(|_| completed(None)).collect()).unwrap();
        assert_eq!((two.len(), three.len()), (2, 3));
        let [first, second] = halve(two).unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_eq!(halve(first.clone()), Err(first));
    }

    #[test]
    fn refused_result_fails_its_attempt() {
        let refused = Error::invalid("settle jobs", "too large");
        let RejectedSettlement::FailAttempt(failed) = completed(Some(vec![1])).rejected(&refused) else {
            panic!("the attempt is dropped")
        };
        assert!(matches!(failed.settlement.verdict, Verdict::Retry { .. }));
        assert_eq!(failed.rejected(&refused), RejectedSettlement::Drop);
        let mut follow_up = completed(None);
        let job = crate::runtime::testing::spec();
        follow_up.settlement.verdict = Verdict::Complete(Completion::new().follow_ups(vec![job]));
        let RejectedSettlement::FailAttempt(failed) = follow_up.rejected(&refused) else {
            panic!("the attempt is dropped")
        };
        let Verdict::Retry { error, .. } = failed.settlement.verdict else { panic!("it did not fail") };
        assert_eq!(error, "the follow-up jobs cannot be stored: too large");
        assert_eq!(completed(None).rejected(&refused), RejectedSettlement::Drop);
    }

    #[test]
    fn failed_settlement_is_dropped_only_after_its_lease() {
        let settings = WorkerSettings::default();
        let pending = completed(None);
        let end = pending.lease_end;
        let before = end - Duration::from_secs(1);
        let misconfigured = Error::new(ErrorKind::Misconfigured, "settle jobs", "no table");
        let FailedSettlement::Retry { at, pending, is_first_failure } =
            pending.failed(&misconfigured, before, &settings)
        else {
            panic!("dropped before the lease ended")
        };
        assert_eq!((at, is_first_failure), (before + settings.outage_backoff, true));
        let unavailable = Error::new(ErrorKind::Unavailable, "settle jobs", "no server");
        let again = pending.clone().failed(&unavailable, end, &settings);
        assert!(matches!(again, FailedSettlement::Retry { is_first_failure: false, .. }));
        assert_eq!(pending.failed(&misconfigured, end, &settings), FailedSettlement::Drop);
    }
}
