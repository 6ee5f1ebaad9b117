//! Retries of finished jobs by hand.

use super::store::{HeldKey, Live, LiveState, Store};
use crate::backend::{RetryReply, RetryRequest, retries_from};
use crate::{JobId, JobSpec, Timestamp};

impl Store {
    pub(super) fn retry_finished(&mut self, now: Timestamp, request: &RetryRequest) -> Vec<RetryReply> {
        request.jobs.iter().map(|id| self.retry_one(*id, now)).collect()
    }

    fn retry_one(&mut self, id: JobId, now: Timestamp) -> RetryReply {
        if let Some(live) = self.live.get(&id) {
            return RetryReply::Unfinished(live.state());
        }
        let (Some(job), Some(outcome)) = (self.jobs.get(&id), self.outcomes.get(&id)) else {
            return RetryReply::NotFound;
        };
        if let Some(holder) = self.other_holder(now, &job.spec) {
            return RetryReply::KeyHeld(holder);
        }
        let attempt = outcome.attempt;
        let max_retries = retries_from(attempt, job.spec.max_retries);
        let place = job.spec.unique.as_ref().map(|key| (job.spec.kind.clone(), key.as_str().to_owned()));
        self.index.remove_finished(outcome.state, (outcome.finished_at, id));
        self.outcomes.remove(&id);
        self.unique_keys.extend(place.map(|place| (place, HeldKey { job: id, until: None })));
        self.insert_live(id, Live { attempt, ..Live::new(LiveState::Ready, now, max_retries) });
        self.announce(id, now);
        RetryReply::Retried
    }

    /// Returns another job that holds the unique key of this one.
    fn other_holder(&self, now: Timestamp, spec: &JobSpec) -> Option<JobId> {
        let place = (spec.kind.clone(), spec.unique.as_ref()?.as_str().to_owned());
        let held = self.unique_keys.get(&place)?;
        let is_held = held.until.is_none_or(|until| now < until);
        (is_held && held.job != spec.id).then_some(held.job)
    }
}
