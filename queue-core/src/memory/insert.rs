//! Inserts of batches.

use super::store::{HeldKey, Job, Live, LiveState, Store};
use crate::backend::{InsertReply, InsertRequest, compare_batch};
use crate::{Error, Insertion, JobId, JobSpec, Result, Submitted, Timestamp};

impl Store {
    /// Stores each batch completely or not at all, in order. Then makes the claim of the request.
    pub(super) fn insert(&mut self, now: Timestamp, request: InsertRequest) -> InsertReply {
        let InsertRequest { batches, claim, .. } = request;
        let mut inserted = Vec::new();
        let results = batches.into_iter().map(|batch| self.insert_batch(now, batch, &mut inserted)).collect();
        let reply = claim.map(|claim| self.claim(now, &claim));
        for id in inserted {
            if self.live.get(&id).is_some_and(|live| live.lease().is_none()) {
                self.announce(id, now);
            }
        }
        InsertReply::new(results).claim(reply)
    }

    /// Compares a batch with the stored jobs. Nothing is changed.
    pub(super) fn check_batch(&self, batch: &[JobSpec]) -> Result<Vec<Insertion>> {
        compare_batch(batch, |id| Ok::<_, Error>(self.jobs.get(&id).map(|job| (&job.spec, job.created_at))))
    }

    pub(super) fn insert_batch(
        &mut self,
        now: Timestamp,
        batch: Vec<JobSpec>,
        inserted: &mut Vec<JobId>,
    ) -> Result<Vec<Submitted>> {
        let insertions = self.check_batch(&batch)?;
        let answers = batch.into_iter().zip(insertions).map(|(spec, insertion)| {
            if insertion == Insertion::Known {
                return Submitted::new(spec.id, insertion);
            }
            let submitted = self.insert_if_new(now, spec);
            inserted.extend(submitted.is_new().then_some(submitted.id));
            submitted
        });
        Ok(answers.collect())
    }

    /// Inserts a job, unless its id is stored already or another job holds its unique key.
    pub(super) fn insert_if_new(&mut self, now: Timestamp, spec: JobSpec) -> Submitted {
        let id = spec.id;
        if self.jobs.contains_key(&id) {
            return Submitted::new(id, Insertion::Known);
        }
        if let Some(holder) = self.hold_key(now, &spec) {
            return Submitted::new(holder, Insertion::Duplicate);
        }
        self.insert_job(now, spec);
        Submitted::new(id, Insertion::New)
    }

    /// Takes the unique key of a job, if it has one. Returns the job that holds the key already.
    fn hold_key(&mut self, now: Timestamp, spec: &JobSpec) -> Option<JobId> {
        let unique = spec.unique.as_ref()?;
        let place = (spec.kind.clone(), unique.as_str().to_owned());
        match self.unique_keys.get(&place) {
            Some(HeldKey { job, until }) if until.is_none_or(|until| now < until) => Some(*job),
            _ => {
                self.unique_keys.insert(place, HeldKey { job: spec.id, until: None });
                None
            }
        }
    }

    fn insert_job(&mut self, now: Timestamp, mut spec: JobSpec) {
        let id = spec.id;
        let run_at = *spec.run_at.get_or_insert(now);
        let state = if run_at <= now { LiveState::Ready } else { LiveState::Scheduled };
        let live = Live::new(state, run_at, spec.max_retries);
        self.jobs.insert(id, Job { spec, created_at: now });
        self.insert_live(id, live);
    }
}
