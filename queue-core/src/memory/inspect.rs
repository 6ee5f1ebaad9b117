//! Reads of jobs.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::store::Store;
use crate::backend::{JobEnd, JobRecord, ListRequest, NextReady};
use crate::{JobId, QueueName};

impl Store {
    /// Returns the current record of a job.
    pub(super) fn record(&self, id: JobId) -> Option<JobRecord> {
        let job = self.jobs.get(&id)?;
        let errors = self.attempt_errors.get(&id).cloned().unwrap_or_default();
        let live = self.live.get(&id).map(|live| JobRecord {
            job: job.spec.clone(),
            created_at: job.created_at,
            state: live.state(),
            run_at: live.run_at,
            attempt: live.attempt,
            progress: live.lease().and_then(|lease| lease.progress.clone()),
            finished_at: None,
            result: None,
            error: None,
            errors: errors.clone(),
        });
        live.or_else(|| {
            let outcome = self.outcomes.get(&id)?;
            Some(JobRecord {
                job: job.spec.clone(),
                created_at: job.created_at,
                state: outcome.state,
                run_at: job.spec.run_at.unwrap_or(job.created_at),
                attempt: outcome.attempt,
                progress: None,
                finished_at: Some(outcome.finished_at),
                result: outcome.result.clone(),
                error: outcome.error.clone(),
                errors,
            })
        })
    }

    /// Returns how a job ended, or marks it so that its end is announced.
    pub(super) fn watch(&mut self, id: JobId) -> Option<JobEnd> {
        if let Some(live) = self.live.get_mut(&id) {
            live.is_watched = true;
            return None;
        }
        let Some(outcome) = self.outcomes.get(&id) else { return Some(JobEnd::Gone) };
        JobEnd::of(outcome.state, outcome.result.clone(), outcome.error.clone())
    }

    /// Returns the first ready job of each kind in each queue. It reads all ready jobs, which a
    /// storage with more of them must avoid.
    pub(super) fn next_ready(&self, queues: &[QueueName]) -> Vec<NextReady> {
        let mut next = Vec::new();
        for queue in queues.iter().filter(|queue| !self.paused.contains(*queue)) {
            let mut kinds = BTreeMap::new();
            let levels = self.index.ready.get(queue).into_iter().flat_map(BTreeMap::values);
            for ((_, job), kind) in levels.flatten() {
                kinds.entry(kind).or_insert(*job);
            }
            next.extend(
                kinds.into_iter().map(|(kind, job)| NextReady::new(queue.clone(), kind.clone(), job)),
            );
        }
        next
    }

    /// Returns a page of jobs in the order of their ids.
    pub(super) fn list(&self, request: &ListRequest) -> Vec<JobRecord> {
        let after = request.after.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let is_wanted = |record: &JobRecord| {
            request.state.is_none_or(|state| record.state == state)
                && request.queue.as_ref().is_none_or(|queue| record.job.queue == *queue)
                && request.kind.as_ref().is_none_or(|kind| record.job.kind == *kind)
        };
        let ids = self.jobs.range((after, Bound::Unbounded)).map(|(id, _)| *id);
        ids.filter_map(|id| self.record(id)).filter(is_wanted).take(limit).collect()
    }
}
