//! Submission and cancellation of jobs.

use async_trait::async_trait;
use serde::Serialize;

use crate::backend::{CancelReply, CancelRequest};
use crate::{Backend, Error, JobId, Kind, NewJob, Payload, Result, Submitted, Timestamp};

/// Submits jobs, and cancels jobs that have not started. It is for code that only enqueues.
///
/// It is object-safe: share it as `Arc<dyn Enqueuer>`. [`EnqueuerExt`] adds the same methods for
/// values of any `Serialize` type.
///
/// ```
/// use queue_core::{CancelReply, Enqueuer, Payload, Result};
///
/// async fn sign_up(jobs: &dyn Enqueuer) -> Result<()> {
///     let id = jobs.enqueue("send-email", Payload::json(r#"{"to":"ada"}"#)?).await?;
///     assert_eq!(jobs.dequeue(id).await?, CancelReply::Cancelled);
///     Ok(())
/// }
/// # use queue_core::{JobQueue, MemoryBackend};
/// # let jobs = JobQueue::new(std::sync::Arc::new(MemoryBackend::new()));
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(sign_up(&jobs)).unwrap();
/// ```
///
/// # Errors
/// These apply to all methods.
/// - [`Invalid`](crate::ErrorKind::Invalid) names the bad input. Nothing was stored.
/// - [`Busy`](crate::ErrorKind::Busy) and [`Unavailable`](crate::ErrorKind::Unavailable): nothing
///   was stored.
/// - [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome) contains the ids for a retry.
///
/// # Cancellation
/// If a future is dropped, all of its jobs were enqueued, or none.
#[async_trait]
pub trait Enqueuer: Send + Sync {
    /// Submits a batch: all jobs are stored, or none. Results are in the order of `jobs`.
    ///
    /// An empty batch returns at once, without a request to the backend.
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>>;

    /// Cancels a job that has not started. Otherwise returns the state of the job, and does not
    /// change it.
    async fn dequeue(&self, id: JobId) -> Result<CancelReply>;

    /// Enqueues one job to run as soon as possible.
    async fn enqueue(&self, kind: &str, payload: Payload) -> Result<JobId> {
        first_id(&self.submit(vec![NewJob::new(Kind::new(kind)?, payload)]).await?)
    }

    /// Enqueues one job to run at `run_at` or later.
    async fn enqueue_at(&self, kind: &str, payload: Payload, run_at: Timestamp) -> Result<JobId> {
        first_id(&self.submit(vec![NewJob::new(Kind::new(kind)?, payload).run_at(run_at)]).await?)
    }

    /// Enqueues one job per payload, all or none. Ids are in the order of `payloads`.
    async fn enqueue_batch(&self, kind: &str, payloads: Vec<Payload>) -> Result<Vec<JobId>> {
        batch(self, kind, payloads, |job| job).await
    }

    /// Enqueues one job per payload, all or none, to run at `run_at` or later.
    async fn enqueue_batch_at(
        &self,
        kind: &str,
        payloads: Vec<Payload>,
        run_at: Timestamp,
    ) -> Result<Vec<JobId>> {
        batch(self, kind, payloads, |job| job.run_at(run_at)).await
    }
}

async fn batch<E: Enqueuer + ?Sized>(
    enqueuer: &E,
    kind: &str,
    payloads: Vec<Payload>,
    finish: impl Fn(NewJob) -> NewJob + Send,
) -> Result<Vec<JobId>> {
    if payloads.is_empty() {
        return Ok(Vec::new());
    }
    let kind = Kind::new(kind)?;
    let jobs = payloads.into_iter().map(|payload| finish(NewJob::new(kind.clone(), payload))).collect();
    Ok(enqueuer.submit(jobs).await?.into_iter().map(|submitted| submitted.id).collect())
}

pub(crate) fn first_id(submitted: &[Submitted]) -> Result<JobId> {
    submitted.first().map(|submitted| submitted.id).ok_or_else(|| {
        Error::new(crate::ErrorKind::Corrupt, "enqueue a job", "the backend returned no result for it")
    })
}

/// Cancels one job, by `ask` of its request.
pub(crate) async fn cancel(
    backend: &dyn Backend,
    id: JobId,
    ask: impl FnOnce(CancelRequest) -> CancelRequest + Send,
) -> Result<CancelReply> {
    let replies = backend.cancel(ask(CancelRequest::new(vec![id]))).await?;
    replies.first().copied().ok_or_else(|| {
        let message = "the backend returned no result for it";
        Error::new(crate::ErrorKind::Corrupt, format!("cancel job {id}"), message)
    })
}

mod sealed {
    pub trait Sealed {}
    impl<E: super::Enqueuer + ?Sized> Sealed for E {}
}

/// The [`Enqueuer`] for values of any `Serialize` type. Every enqueuer has it.
///
/// ```
/// use queue_core::EnqueuerExt;
/// # use std::sync::Arc;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let jobs = queue_core::JobQueue::new(Arc::new(queue_core::MemoryBackend::new()));
/// let ids = jobs.enqueue_values("resize", &["a.png", "b.png"]).await?;
/// assert_eq!(ids.len(), 2);
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait EnqueuerExt: Enqueuer + sealed::Sealed {
    /// [`Enqueuer::enqueue`] with a value.
    async fn enqueue_value<P: Serialize + Sync + ?Sized>(&self, kind: &str, value: &P) -> Result<JobId> {
        self.enqueue(kind, Payload::encode(value)?).await
    }

    /// [`Enqueuer::enqueue_at`] with a value.
    async fn enqueue_value_at<P: Serialize + Sync + ?Sized>(
        &self,
        kind: &str,
        value: &P,
        run_at: Timestamp,
    ) -> Result<JobId> {
        self.enqueue_at(kind, Payload::encode(value)?, run_at).await
    }

    /// [`Enqueuer::enqueue_batch`] with values.
    async fn enqueue_values<P: Serialize + Sync>(&self, kind: &str, values: &[P]) -> Result<Vec<JobId>> {
        self.enqueue_batch(kind, encode_all(kind, values)?).await
    }

    /// [`Enqueuer::enqueue_batch_at`] with values.
    async fn enqueue_values_at<P: Serialize + Sync>(
        &self,
        kind: &str,
        values: &[P],
        run_at: Timestamp,
    ) -> Result<Vec<JobId>> {
        self.enqueue_batch_at(kind, encode_all(kind, values)?, run_at).await
    }
}

impl<E: Enqueuer + ?Sized> EnqueuerExt for E {}

pub(crate) fn encode_all<P: Serialize>(kind: &str, values: &[P]) -> Result<Vec<Payload>> {
    let encode = |(index, value)| {
        Payload::encode(value).map_err(|error| {
            let operation =
                format!("enqueue a job of kind `{kind}` (number {} of {})", index + 1, values.len());
            Error::invalid(operation, error.message()).with_source(error)
        })
    };
    values.iter().enumerate().map(encode).collect()
}
