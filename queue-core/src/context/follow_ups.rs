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
    /// - [`Invalid`](ErrorKind::Invalid) names the bad input, as when a job is enqueued. The
    ///   request must be of the queue of the handler's job. All follow-ups of a job together are
    ///   limited to [`Limits::batch_jobs`](crate::Limits::batch_jobs). None can be added after
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

#[cfg(test)]
#[cfg(feature = "memory")]
mod tests {
    use super::*;
    use crate::{
        ClaimId, JobId, JobQueue, Limits, MemoryBackend, NewJob, Payload, SqlRequest, SqlWake, Token,
    };

    fn queue() -> JobQueue {
        let limits = Limits::default().batch_jobs(3);
        JobQueue::with_limits(Arc::new(MemoryBackend::new()), limits)
    }

    fn job() -> NewJob {
        NewJob::new("next".parse().unwrap(), Payload::json("{}").unwrap())
    }

    fn context(jobs: &JobQueue) -> JobContext {
        JobContext::new("test".parse().unwrap()).with_jobs(jobs.clone())
    }

    #[track_caller]
    fn assert_refused(kept: Result<()>, text: &str) {
        let error = kept.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.message().contains(text), "{error}");
    }

    #[test]
    fn follow_ups_are_kept_up_to_the_limit_of_a_batch() {
        let jobs = queue();
        let context = context(&jobs);
        jobs.enqueue_batch([job(), job()]).on_success(&context).unwrap();
        assert_refused(jobs.enqueue_batch([job(), job()]).on_success(&context), "more than 3 follow-ups");
        context.enqueue(job()).priority(7).on_success(&context.clone()).unwrap();
        let priorities: Vec<i16> = context.follow_ups().iter().map(|job| job.priority).collect();
        assert_eq!(priorities, [0, 0, 7]);
    }

    #[test]
    fn follow_up_of_another_queue_or_with_a_used_id_is_refused() {
        let jobs = queue();
        let context = context(&jobs);
        assert_refused(queue().enqueue(job()).on_success(&context), "of another queue");
        let id = JobId::generate();
        jobs.enqueue(job()).with_id(id).on_success(&context).unwrap();
        assert_refused(jobs.enqueue(job()).with_id(id).on_success(&context), "was given before");
        assert_refused(jobs.enqueue(job()).queue("").on_success(&context), "the name is empty");
        let without_queue = JobContext::new("test".parse().unwrap());
        let error = jobs.enqueue(job()).on_success(&without_queue).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    /// The in-memory backend has no SQL, so that the request is refused before it counts as sent.
    #[test]
    fn completion_that_is_refused_before_it_is_sent_changes_nothing() {
        let jobs = queue();
        let context = context(&jobs);
        let dialect = crate::backend::SqlDialect::Postgres;
        let error = context.complete("done").into_sql(dialect, SqlWake::AtCommit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "no lease: {error}");
        let token = Token { job: JobId::generate(), claim: ClaimId::from_bytes([7; 16]) };
        let context = context.with_lease(token);
        let error = context.complete("done").into_sql(dialect, SqlWake::AtCommit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        jobs.enqueue(job()).on_success(&context).unwrap();
        context.attempt_state.begin_completion();
        assert_refused(jobs.enqueue(job()).on_success(&context), "keep it before `complete`");
    }
}
