//! Returns the raw rows to the conformance kit.

use super::store::{HeldKey, Live, Outcome, Store, WorkerStatus};
use crate::backend::{KeyRow, LiveRow, OutcomeRow, Stored};
use crate::{JobId, JobSpec, Kind};

impl Store {
    pub(super) fn stored(&self) -> Stored {
        let spec = |id: &JobId| self.jobs.get(id).map(|job| &job.spec);
        let live = self.live.iter().filter_map(|(id, live)| Some(live_row(spec(id)?, live)));
        let outcomes = self.outcomes.iter().filter_map(|(id, outcome)| Some(outcome_row(spec(id)?, outcome)));
        let registered = self.workers.iter().filter(|(_, worker)| worker.status == WorkerStatus::Registered);
        Stored {
            jobs: self.jobs.keys().copied().collect(),
            live: live.collect(),
            outcomes: outcomes.collect(),
            workers: registered.map(|(id, _)| *id).collect(),
            unique_keys: self.unique_keys.iter().map(key_row).collect(),
        }
    }
}

fn live_row(spec: &JobSpec, live: &Live) -> LiveRow {
    let lease = live.lease();
    LiveRow {
        id: spec.id,
        queue: spec.queue.clone(),
        priority: spec.priority,
        state: live.state(),
        run_at: live.run_at,
        attempt: live.attempt,
        max_retries: live.max_retries,
        claim: lease.map(|lease| lease.claim),
        worker: lease.map(|lease| lease.worker),
        deadline: lease.map(|lease| lease.deadline),
        is_unique: spec.unique.is_some(),
    }
}

fn key_row(((kind, key), held): (&(Kind, String), &HeldKey)) -> KeyRow {
    KeyRow::new(kind.clone(), key, held.job).until(held.until)
}

fn outcome_row(spec: &JobSpec, outcome: &Outcome) -> OutcomeRow {
    OutcomeRow {
        id: spec.id,
        state: outcome.state,
        finished_at: outcome.finished_at,
        attempt: outcome.attempt,
        max_retries: spec.max_retries,
        claim: outcome.claim,
        result: outcome.result.clone(),
        error: outcome.error.clone(),
    }
}
