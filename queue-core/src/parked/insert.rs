//! The insert that makes a parked claim.
//!
//! The enqueuer and the worker poll it together. Otherwise a worker would wait for an enqueuer that
//! was dropped, or that does not poll its enqueue for a while.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use tokio::sync::oneshot;

use super::{Answer, ParkedClaims};
use crate::backend::{ClaimReply, ClaimRequest, InsertRequest};
use crate::{Backend, Error, ErrorKind, JobSpec, Result, Submitted};

/// What became of each batch.
type Batches = Result<Vec<Result<Vec<Submitted>>>>;

impl ParkedClaims {
    /// Inserts a batch, with the claim of a worker that would take one of the jobs.
    pub(crate) async fn insert(&self, backend: &Arc<dyn Backend>, batch: Vec<JobSpec>) -> Batches {
        let can_claim = backend.capabilities().insert_and_claim;
        let batch = match can_claim.then(|| self.take(&batch)).flatten() {
            Some(claim) => match claim.insert(Arc::clone(backend), batch).await {
                Stored::Answered(batches) => return batches,
                Stored::Declined(batch) => batch,
            },
            None => batch,
        };
        Ok(backend.insert(InsertRequest::new(vec![batch])).await?.batches)
    }
}

/// What came of an insert with a claim.
enum Stored {
    Answered(Batches),
    /// Nothing was done; the batch is to be inserted without the claim.
    Declined(Vec<JobSpec>),
}

/// The worker's side of an insert that makes its claim.
pub(super) struct InsertUnderWay {
    insert: Shared<Pin<Box<dyn Future<Output = ()> + Send>>>,
    answer: oneshot::Receiver<Option<Answer>>,
}

impl InsertUnderWay {
    /// Drives the insert to its end; `None` if it did not make the claim.
    ///
    /// # Cancellation
    /// Nothing is lost when this future is dropped.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.insert.clone().await;
        // It is sent by then.
        (&mut self.answer).await.ok().flatten()
    }
}

impl fmt::Debug for InsertUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InsertUnderWay")
    }
}

/// A claim that is to be made with an insert.
#[derive(Debug)]
pub(super) struct TakenClaim {
    pub(super) request: ClaimRequest,
    worker: oneshot::Sender<InsertUnderWay>,
}

impl TakenClaim {
    pub(super) const fn new(request: ClaimRequest, worker: oneshot::Sender<InsertUnderWay>) -> Self {
        Self { request, worker }
    }

    async fn insert(self, backend: Arc<dyn Backend>, batch: Vec<JobSpec>) -> Stored {
        let (stored, end) = oneshot::channel();
        let (sender, answer) = oneshot::channel();
        let unanswered = Unanswered { request: self.request, sender: Some(sender) };
        let insert = insert_and_claim(backend, batch, unanswered, stored).boxed().shared();
        // The worker may be gone.
        let _ = self.worker.send(InsertUnderWay { insert: insert.clone(), answer });
        insert.await;
        // It is sent by then.
        end.await.unwrap_or_else(|_| Stored::Answered(Err(missing("enqueue jobs"))))
    }
}

async fn insert_and_claim(
    backend: Arc<dyn Backend>,
    batch: Vec<JobSpec>,
    claim: Unanswered,
    stored: oneshot::Sender<Stored>,
) {
    let request = InsertRequest::new(vec![batch.clone()]).claim(claim.request.clone());
    let is_unknown = |error: &Error| error.kind() == ErrorKind::UnknownOutcome;
    let end = match backend.insert(request).await {
        Ok(reply) if reply.batches.is_empty() && reply.claim.is_none() => {
            claim.answer(None);
            Stored::Declined(batch)
        }
        Ok(reply) => {
            let is_open = reply.batches.iter().any(|batch| batch.as_ref().is_err_and(is_unknown));
            match reply.claim {
                // As uncertain as the insert.
                None if is_open => drop(claim),
                made => claim.answer(made),
            }
            Stored::Answered(Ok(reply.batches))
        }
        Err(error) => {
            if is_unknown(&error) {
                drop(claim);
            } else {
                claim.answer(None);
            }
            Stored::Answered(Err(error))
        }
    };
    // The enqueuer may be gone.
    let _ = stored.send(end);
}

/// A claim whose worker waits for the answer. Dropped, it is answered an unknown outcome: the
/// worker looks for leases.
struct Unanswered {
    request: ClaimRequest,
    sender: Option<oneshot::Sender<Option<Answer>>>,
}

impl Unanswered {
    /// `None` if the claim was not made.
    fn answer(mut self, reply: Option<Result<ClaimReply>>) {
        self.send(reply);
    }

    fn send(&mut self, reply: Option<Result<ClaimReply>>) {
        let Some(sender) = self.sender.take() else { return };
        // The worker may be gone.
        let _ = sender.send(reply.map(|reply| Answer { request: self.request.clone(), reply }));
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.send(Some(Err(missing("claim jobs"))));
    }
}

fn missing(operation: &'static str) -> Error {
    let message = "the answer to an insert with a claim is missing";
    Error::new(ErrorKind::UnknownOutcome, operation, message)
}
