//! Results: waits for the ends of jobs, and decodes them.

use serde::de::DeserializeOwned;

use crate::backend::JobEnd;
use crate::{Error, ErrorKind, JobHandle, JobId, JobQueue, Result, ResultError};

/// Waits for jobs, whatever process runs them. See `docs/awaiting-results.md` in the repository.
///
/// The clones of a queue share one request at a time and no connection of their own, regardless of
/// how many callers wait. Each wait has no timeout; wrap it in one, for example
/// `tokio::time::timeout`. It continues while the storage cannot be reached.
impl JobQueue {
    /// Waits until a job has ended, and returns its result.
    ///
    /// `R` is what the handler returns. A job that completed without a result has the result `()`,
    /// or `None` if `R` is an `Option`.
    ///
    /// # Errors
    /// See [`ResultErrorKind`](crate::ResultErrorKind). In particular, a job that never existed and
    /// one that was [pruned](crate::backend::Prune) are [`Gone`](crate::ResultErrorKind::Gone).
    ///
    /// # Cancellation
    /// If the future is dropped, nothing has changed: neither the job nor other callers.
    pub async fn result<R: DeserializeOwned>(&self, id: JobId) -> Result<R, ResultError> {
        let end = self.wait(id).await.map_err(|error| ResultError::storage(id, error))?;
        match end {
            JobEnd::Completed { result } => decode(id, result.as_deref()),
            JobEnd::Dead { error } => Err(ResultError::dead(id, error)),
            JobEnd::Cancelled { reason } => Err(ResultError::cancelled(id, reason)),
            JobEnd::Gone => Err(ResultError::gone(id)),
        }
    }

    /// Waits until a job has ended, and returns how. The result is not decoded.
    ///
    /// # Errors
    /// An error of the storage that trying again does not mend.
    ///
    /// # Cancellation
    /// If the future is dropped, nothing has changed: neither the job nor other callers.
    pub async fn wait(&self, id: JobId) -> Result<JobEnd> {
        let mut ends = self.wait_many(&[id]).await?;
        ends.pop().ok_or_else(|| Error::new(ErrorKind::Corrupt, "wait for a job", "it has no end"))
    }

    /// Waits until all of these jobs have ended, and returns how, in the order of `ids`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use queue_core::backend::JobEnd;
    /// # use queue_core::{JobId, JobQueue, MemoryBackend};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
    /// assert_eq!(jobs.wait_many(&[JobId::generate()]).await?, [JobEnd::Gone]);
    /// # Ok::<(), queue_core::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// An error of the storage that trying again does not mend, for any of the jobs.
    ///
    /// # Cancellation
    /// If the future is dropped, nothing has changed: neither the jobs nor other callers.
    pub async fn wait_many(&self, ids: &[JobId]) -> Result<Vec<JobEnd>> {
        self.waiters().wait(self.backend(), ids).await
    }
}

impl<R: DeserializeOwned> JobHandle<R> {
    /// Waits until the job has ended, whatever process runs it, and returns what its handler
    /// returned: [`JobQueue::result`] with the id of this handle.
    ///
    /// If the job was not inserted because another job holds its unique key, this is the result of
    /// the other job.
    ///
    /// ```
    /// # use queue_core::{JobQueue, Task};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct BuildReport { order: i64 }
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Report;
    /// # impl Task for BuildReport { const KIND: &'static str = "build"; type Output = Report; }
    /// # async fn example(jobs: &JobQueue) -> Result<(), Box<dyn std::error::Error>> {
    /// let report: Report = jobs.enqueue(BuildReport { order: 7 }).await?.result().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`ResultErrorKind`](crate::ResultErrorKind).
    ///
    /// # Cancellation
    /// If the future is dropped, nothing has changed: neither the job nor other callers.
    pub async fn result(&self) -> Result<R, ResultError> {
        self.jobs().result(self.id()).await
    }
}

/// A missing result is read as `null`, which `()` and `Option` accept.
fn decode<R: DeserializeOwned>(id: JobId, result: Option<&[u8]>) -> Result<R, ResultError> {
    let json = result.unwrap_or(b"null");
    serde_json::from_slice(json).map_err(|cause| ResultError::undecodable::<R>(id, result, cause))
}
