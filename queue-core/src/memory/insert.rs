//! Storing batches.

use super::store::{Job, Live, Stage, Store};
use crate::backend::{ClaimReply, ClaimRequest};
use crate::{Error, ErrorKind, Insertion, JobId, JobSpec, Result, Submitted, Timestamp};

impl Store {
    /// Stores each batch whole or not at all, in order, and then makes a claim that waited for them.
    pub(super) fn insert(
        &mut self,
        now: Timestamp,
        batches: Vec<Vec<JobSpec>>,
        claim: Option<&ClaimRequest>,
    ) -> (Vec<Result<Vec<Submitted>>>, Option<Result<ClaimReply>>) {
        let mut entered = Vec::new();
        let fates = batches.into_iter().map(|batch| self.insert_batch(now, batch, &mut entered)).collect();
        let reply = claim.map(|claim| self.claim(now, claim));
        for id in entered {
            if self.live.get(&id).is_some_and(|live| live.lease().is_none()) {
                self.tell(id, now);
            }
        }
        (fates, reply)
    }

    fn insert_batch(
        &mut self,
        now: Timestamp,
        batch: Vec<JobSpec>,
        entered: &mut Vec<JobId>,
    ) -> Result<Vec<Submitted>> {
        let insertion = if self.is_known(&batch)? { Insertion::Known } else { Insertion::New };
        let answers = batch.iter().map(|spec| Submitted::new(spec.id, insertion)).collect();
        if insertion == Insertion::New {
            entered.extend(batch.iter().map(|spec| spec.id));
            for spec in batch {
                self.insert_job(now, spec);
            }
        }
        Ok(answers)
    }

    /// Whether all of the batch is stored already; it is a conflict if a part of it is, or an id
    /// with other content.
    fn is_known(&self, batch: &[JobSpec]) -> Result<bool> {
        let mut known = None;
        let mut missing = false;
        for spec in batch {
            match self.jobs.get(&spec.id) {
                None => missing = true,
                Some(stored) if spec.is_same_as(&stored.spec, stored.created_at) => {
                    known.get_or_insert(spec);
                }
                Some(_) => return Err(conflict(spec, "is stored with other content")),
            }
        }
        match known {
            Some(spec) if missing => Err(conflict(spec, "is stored already, others of its batch are not")),
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }

    fn insert_job(&mut self, now: Timestamp, mut spec: JobSpec) {
        let id = spec.id;
        let run_at = *spec.run_at.get_or_insert(now);
        let stage = if run_at <= now { Stage::Ready } else { Stage::Scheduled };
        self.jobs.insert(id, Job { spec, created_at: now });
        self.enter(id, Live { stage, run_at, attempt: 0, cancel_wanted: false });
    }
}

fn conflict(spec: &JobSpec, fault: &str) -> Error {
    let message = format!("the id {} {fault}", spec.id);
    Error::new(ErrorKind::Conflict, "insert jobs", message).with_jobs(vec![spec.id])
}
