//! Jobs that follow a job.

use std::sync::Arc;

use super::JobContext;
use crate::{Enqueue, Error, ErrorKind, JobSpec, Result};

const OPERATION: &str = "keep a follow-up job";

impl<J> Enqueue<J> {
    /// Keeps the jobs as follow-ups of the job that a handler runs: they are stored in the
    /// transaction that completes that job, and only then. If the attempt fails or its worker dies,
    /// they are never stored, and the next attempt decides anew.
    ///
    /// ```
    /// # use queue_core::{HandlerResult, JobContext, Task};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct ChargeOrder { order: i64 }
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct SendReceipt { order: i64 }
    /// # impl Task for SendReceipt { const KIND: &'static str = "send-receipt"; type Output = (); }
    /// async fn charge_order(job: ChargeOrder, context: JobContext) -> HandlerResult {
    ///     context.enqueue(SendReceipt { order: job.order }).on_success(&context)?;
    ///     Ok(()) // completes this job and stores the other one, in one transaction
    /// }
    /// ```
    ///
    /// A handler may keep any number; all its follow-ups are one batch. One whose
    /// [unique key](crate::Unique) another job holds is not stored, which is no error. The key of
    /// the completed job is free by then, unless it is [kept](crate::Unique::keep).
    /// An id that is stored with other content fails the attempt.
    ///
    /// # Errors
    /// - [`Invalid`](ErrorKind::Invalid) names the bad input, as when a job is enqueued. The request
    ///   must be of the queue of the handler's job. All follow-ups of a job together are limited to
    ///   [`Limits::batch_jobs`](crate::Limits::batch_jobs). None can be added after
    ///   [`complete`](JobContext::complete) was sent.
    /// - [`Unsupported`](ErrorKind::Unsupported): the backend does not offer it.
    /// - [`NotFound`](ErrorKind::NotFound) in a test whose context has no queue.
    pub fn on_success(self, context: &JobContext) -> Result<()> {
        let own = context.jobs()?;
        let backend = own.backend();
        if !backend.capabilities().follow_ups {
            let message = format!("the backend `{}` does not offer it", backend.name());
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, message));
        }
        let (jobs, batch) = self.into_parts()?;
        if !Arc::ptr_eq(jobs.backend(), backend) {
            return Err(Error::invalid(OPERATION, "the request is of another queue than the handler's job"));
        }
        context.attempt_state.add_follow_ups(jobs.prepare(batch)?.into_jobs(), own.limits().batch_jobs)
    }
}

impl JobContext {
    /// Returns the [follow-ups](Enqueue::on_success) of this attempt so far, for tests of handlers.
    #[must_use]
    pub fn follow_ups(&self) -> Vec<JobSpec> {
        self.attempt_state.follow_ups()
    }
}
