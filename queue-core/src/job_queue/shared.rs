//! What the clones of a queue share, and how they enqueue and cancel.

use std::sync::{Arc, RwLock};
use std::time::Instant;

use async_trait::async_trait;

use super::registrations::Registrations;
#[cfg(not(feature = "runtime"))]
use crate::JobSpec;
#[cfg(not(feature = "runtime"))]
use crate::backend::InsertRequest;
use crate::backend::{CancelReply, CancelRequest};
use crate::clock::Clock;
use crate::events::EventBus;
use crate::metrics::Operation;
#[cfg(feature = "runtime")]
use crate::parked::ParkedClaims;
use crate::poison::ignore_poison;
use crate::waiters::Waiters;
use crate::{
    Backend, Enqueuer, Error, ErrorKind, JobEvent, JobId, Kind, Limits, NewJob, Prepared, QueueName, Result,
    Submitted, TaskOptions, border, enqueuer,
};

/// What the clones of a queue share.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) registrations: RwLock<Registrations>,
    pub(super) waiters: Waiters,
    pub(super) events: EventBus,
    /// The claims of idle workers that serve this queue.
    #[cfg(feature = "runtime")]
    pub(super) parked: ParkedClaims,
}

impl Shared {
    pub(super) fn registrations(&self) -> Registrations {
        ignore_poison(self.registrations.read()).clone()
    }

    pub(super) async fn cancel(
        &self,
        id: JobId,
        change: impl FnOnce(CancelRequest) -> CancelRequest + Send,
    ) -> Result<CancelReply> {
        let reply = enqueuer::cancel(&*self.backend, id, change).await?;
        if reply == CancelReply::Cancelled {
            self.events.send(|| JobEvent::Cancelled { job: id, attempt: None, reason: None });
        }
        Ok(reply)
    }

    pub(super) fn prepare(&self, jobs: Vec<NewJob>) -> Result<Prepared> {
        static LIBRARY_DEFAULTS: TaskOptions = TaskOptions::new();
        let known = self.registrations();
        let batch = border::prepare(&self.limits, self.clock.now(), jobs, |job| {
            known.get(&job.kind).map_or(&LIBRARY_DEFAULTS, |registration| &registration.options)
        })?;
        let keyed = batch.jobs().iter().find(|job| job.unique.is_some());
        match keyed {
            Some(job) if !self.backend.capabilities().unique_keys => {
                let operation = format!("enqueue a job of kind `{}`", job.kind);
                let message = format!("the backend `{}` supports no unique keys", self.backend.name());
                Err(Error::new(ErrorKind::Unsupported, operation, message))
            }
            _ => Ok(batch),
        }
    }
}

fn names_of(batch: &Prepared) -> Vec<(Kind, QueueName)> {
    batch.jobs().iter().map(|job| (job.kind.clone(), job.queue.clone())).collect()
}

#[cfg(not(feature = "runtime"))]
async fn insert(backend: &dyn Backend, batch: Vec<JobSpec>) -> Result<Vec<Result<Vec<Submitted>>>> {
    Ok(backend.insert(InsertRequest::new(vec![batch])).await?.batches)
}

#[async_trait]
impl Enqueuer for Shared {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        let batch = self.prepare(jobs)?;
        let named = self.events.is_observed().then(|| names_of(&batch));
        let sent_at = Instant::now();
        #[cfg(feature = "runtime")]
        let stored = border::submit(batch, |batch| self.parked.insert(&self.backend, batch)).await;
        #[cfg(not(feature = "runtime"))]
        let stored = border::submit(batch, |batch| insert(&*self.backend, batch)).await;
        self.events.metrics().answered(Operation::Enqueue, sent_at.elapsed(), &stored);
        if let (Ok(stored), Some(named)) = (&stored, named) {
            for (submitted, (kind, queue)) in stored.iter().zip(named).filter(|(job, _)| job.is_new()) {
                self.events.metrics().enqueued(&kind, &queue);
                self.events.send(|| JobEvent::Enqueued { job: submitted.id, kind, queue });
            }
        }
        stored
    }

    async fn dequeue(&self, id: JobId) -> Result<CancelReply> {
        self.cancel(id, |request| request).await
    }
}
