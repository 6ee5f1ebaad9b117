//! A checked batch that can be stored.

use crate::backend::InsertRequest;
use crate::{JobId, JobSpec};

/// A checked batch, with an id per job and all options set, as [`submit`](crate::Enqueuer::submit)
/// stores it.
///
/// [`JobQueue::prepare`](crate::JobQueue::prepare) creates it, for callers that store jobs by a
/// request of the backend, or in a transaction of the application. Nothing is stored yet. After an
/// unknown outcome, the caller can store the same batch again, because its ids are fixed.
///
/// ```
/// # use std::sync::Arc;
/// use queue_core::backend::{Backend, InsertRequest};
/// use queue_core::{JobQueue, MemoryBackend, NewJob, Payload};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let backend = Arc::new(MemoryBackend::new());
/// let client = JobQueue::new(backend.clone());
/// let prepared = client.prepare(vec![NewJob::new("send-email".parse()?, Payload::json("{}")?)])?;
/// let id = prepared.ids()[0];
/// let mut reply = backend.insert(prepared.into()).await?;
/// assert_eq!(reply.batches.remove(0)?[0].id, id);
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Prepared(Vec<JobSpec>);

impl Prepared {
    /// Creates a batch from checked jobs.
    pub(crate) const fn new(jobs: Vec<JobSpec>) -> Self {
        Self(jobs)
    }

    /// Returns the jobs, in the order of their submission.
    #[must_use]
    pub fn jobs(&self) -> &[JobSpec] {
        &self.0
    }

    /// Returns the ids of the jobs.
    #[must_use]
    pub fn ids(&self) -> Vec<JobId> {
        self.0.iter().map(|job| job.id).collect()
    }

    /// Returns the jobs by value.
    #[must_use]
    pub fn into_jobs(self) -> Vec<JobSpec> {
        self.0
    }
}

/// Creates the request that stores the batch. It has no batches if there are no jobs.
impl From<Prepared> for InsertRequest {
    fn from(prepared: Prepared) -> Self {
        let batches = if prepared.0.is_empty() { Vec::new() } else { vec![prepared.0] };
        Self::new(batches)
    }
}
