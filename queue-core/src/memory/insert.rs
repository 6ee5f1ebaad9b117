//! Storing batches.

use super::store::{Job, Live, Stage, Store};
use crate::backend::{InsertReply, InsertRequest, compare_batch};
use crate::{Error, Insertion, JobId, JobSpec, Result, Submitted, Timestamp};

impl Store {
    /// Stores each batch whole or not at all, in order, and then makes a claim that waited for them.
    pub(super) fn insert(&mut self, now: Timestamp, request: InsertRequest) -> InsertReply {
        let InsertRequest { batches, claim, .. } = request;
        let mut entered = Vec::new();
        let fates = batches.into_iter().map(|batch| self.insert_batch(now, batch, &mut entered)).collect();
        let reply = claim.map(|claim| self.claim(now, &claim));
        for id in entered {
            if self.live.get(&id).is_some_and(|live| live.lease().is_none()) {
                self.tell(id, now);
            }
        }
        InsertReply::new(fates).claim(reply)
    }

    fn insert_batch(
        &mut self,
        now: Timestamp,
        batch: Vec<JobSpec>,
        entered: &mut Vec<JobId>,
    ) -> Result<Vec<Submitted>> {
        let stored = |id| Ok::<_, Error>(self.jobs.get(&id).map(|job| (&job.spec, job.created_at)));
        let insertion = compare_batch(&batch, stored)?;
        let answers = batch.iter().map(|spec| Submitted::new(spec.id, insertion)).collect();
        if insertion == Insertion::New {
            entered.extend(batch.iter().map(|spec| spec.id));
            for spec in batch {
                self.insert_job(now, spec);
            }
        }
        Ok(answers)
    }

    fn insert_job(&mut self, now: Timestamp, mut spec: JobSpec) {
        let id = spec.id;
        let run_at = *spec.run_at.get_or_insert(now);
        let stage = if run_at <= now { Stage::Ready } else { Stage::Scheduled };
        self.jobs.insert(id, Job { spec, created_at: now });
        self.enter(id, Live { stage, run_at, attempt: 0, cancel_wanted: false });
    }
}
