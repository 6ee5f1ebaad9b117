//! Settlements: how leases end.

use std::time::Duration;

use super::store::{Ending, LiveState, Store};
use crate::backend::{Completion, Settled, Settlement, Verdict};
use crate::{JobId, JobState, Result, Timestamp, Token};

impl Store {
    pub(super) fn settle(&mut self, now: Timestamp, settlements: Vec<Settlement>) -> Vec<Result<Settled>> {
        settlements.into_iter().map(|settlement| self.settle_one(now, settlement)).collect()
    }

    fn settle_one(&mut self, now: Timestamp, settlement: Settlement) -> Result<Settled> {
        let Settlement { token, verdict, ran_for } = settlement;
        if self.held(token).is_none() {
            let is_repeated = self.was_settled_so(token, &verdict);
            return Ok(if is_repeated { Settled::Done } else { Settled::LeaseLost });
        }
        match verdict {
            Verdict::Complete(Completion { result, follow_ups }) => {
                // Before the change, because a refused batch must leave the job as it is.
                self.check_batch(&follow_ups)?;
                self.end(token, now, JobState::Completed, result, None);
                let mut inserted = Vec::new();
                self.insert_batch(now, follow_ups, &mut inserted)?;
                inserted.into_iter().for_each(|id| self.announce(id, now));
            }
            Verdict::Cancel { reason } => self.end(token, now, JobState::Cancelled, None, Some(reason)),
            Verdict::Bury { error } => {
                self.record_error(token.job, now, error.clone(), ran_for);
                self.bury(token, now, error);
            }
            Verdict::Retry { error, delay } => {
                self.record_error(token.job, now, error.clone(), ran_for);
                self.retry(token, now, error, delay);
            }
            Verdict::Snooze { delay } => self.snooze(token.job, now, delay),
            Verdict::Release => self.release(token.job, now),
        }
        Ok(Settled::Done)
    }

    /// Returns whether this token already ended the job with the same verdict.
    fn was_settled_so(&self, token: Token, verdict: &Verdict) -> bool {
        let outcome = self.outcomes.get(&token.job);
        outcome.is_some_and(|outcome| outcome.claim == Some(token.claim) && verdict.ended_as(outcome.state))
    }

    fn end(
        &mut self,
        token: Token,
        now: Timestamp,
        state: JobState,
        result: Option<Vec<u8>>,
        error: Option<String>,
    ) {
        self.finish(token.job, now, Ending { state, claim: Some(token.claim), result, error });
    }

    fn bury(&mut self, token: Token, now: Timestamp, error: String) {
        self.end(token, now, JobState::Dead, None, Some(error));
    }

    fn retry(&mut self, token: Token, now: Timestamp, error: String, delay: Duration) {
        if self.has_used_all_attempts(token.job) {
            return self.bury(token, now, error);
        }
        self.change(token.job, |live| {
            live.state = LiveState::Retrying;
            live.run_at = now.saturating_add(delay);
        });
        self.announce(token.job, now);
    }

    fn snooze(&mut self, id: JobId, now: Timestamp, delay: Duration) {
        self.change(id, |live| {
            live.attempt = live.attempt.saturating_sub(1);
            live.state = if delay.is_zero() { LiveState::Ready } else { LiveState::Scheduled };
            live.run_at = now.saturating_add(delay);
        });
        self.announce(id, now);
    }

    fn release(&mut self, id: JobId, now: Timestamp) {
        self.change(id, |live| {
            live.attempt = live.attempt.saturating_sub(1);
            live.state = LiveState::Ready;
        });
        self.announce(id, now);
    }

    /// Returns whether the current attempt is the last permitted one.
    pub(super) fn has_used_all_attempts(&self, id: JobId) -> bool {
        self.live.get(&id).is_some_and(|live| live.attempt > u32::from(live.max_retries))
    }
}
