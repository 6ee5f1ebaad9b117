//! The insert that sends a parked claim.
//!
//! Both the enqueuer and the worker poll it. Otherwise the worker would wait for an enqueuer that
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

/// The result of each batch.
type Batches = Result<Vec<Result<Vec<Submitted>>>>;

impl ParkedClaims {
    /// Inserts a batch, with a parked claim that would take one of its jobs.
    pub(crate) async fn insert(&self, backend: &Arc<dyn Backend>, batch: Vec<JobSpec>) -> Batches {
        let can_claim = backend.capabilities().insert_and_claim;
        let batch = match can_claim.then(|| self.take(&batch)).flatten() {
            Some(claim) => match claim.insert(Arc::clone(backend), batch).await {
                InsertOutcome::Answered(batches) => return batches,
                InsertOutcome::Declined(batch) => batch,
            },
            None => batch,
        };
        Ok(backend.insert(InsertRequest::new(vec![batch])).await?.batches)
    }
}

/// The outcome of an insert with a claim.
enum InsertOutcome {
    Answered(Batches),
    /// Nothing was stored. The batch must be inserted without the claim.
    Declined(Vec<JobSpec>),
}

/// The worker's handle on an insert that sends its claim.
pub(super) struct InsertUnderWay {
    insert: Shared<Pin<Box<dyn Future<Output = ()> + Send>>>,
    answer: oneshot::Receiver<Option<Answer>>,
}

impl InsertUnderWay {
    /// Drives the insert to its end. `None` if the backend did not make the claim.
    ///
    /// # Cancellation
    /// If this future is dropped, the answer is kept for the next call.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.insert.clone().await;
        // The insert sends the answer before it ends.
        (&mut self.answer).await.ok().flatten()
    }
}

impl fmt::Debug for InsertUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InsertUnderWay")
    }
}

/// A claim to send with an insert.
#[derive(Debug)]
pub(super) struct TakenClaim {
    pub(super) request: ClaimRequest,
    worker: oneshot::Sender<InsertUnderWay>,
}

impl TakenClaim {
    pub(super) const fn new(request: ClaimRequest, worker: oneshot::Sender<InsertUnderWay>) -> Self {
        Self { request, worker }
    }

    async fn insert(self, backend: Arc<dyn Backend>, batch: Vec<JobSpec>) -> InsertOutcome {
        let (stored, end) = oneshot::channel();
        let (sender, answer) = oneshot::channel();
        let pending = PendingAnswer { request: self.request, sender: Some(sender) };
        let insert = insert_and_claim(backend, batch, pending, stored).boxed().shared();
        // Fails if the worker was dropped.
        let _ = self.worker.send(InsertUnderWay { insert: insert.clone(), answer });
        insert.await;
        // The insert sends its outcome before it ends.
        end.await.unwrap_or_else(|_| InsertOutcome::Answered(Err(missing("enqueue jobs"))))
    }
}

async fn insert_and_claim(
    backend: Arc<dyn Backend>,
    batch: Vec<JobSpec>,
    claim: PendingAnswer,
    stored: oneshot::Sender<InsertOutcome>,
) {
    let request = InsertRequest::new(vec![batch.clone()]).claim(claim.request.clone());
    let is_unknown = |error: &Error| error.kind() == ErrorKind::UnknownOutcome;
    let end = match backend.insert(request).await {
        Ok(reply) if reply.batches.is_empty() && reply.claim.is_none() => {
            claim.answer(None);
            InsertOutcome::Declined(batch)
        }
        Ok(reply) => {
            let is_open = reply.batches.iter().any(|batch| batch.as_ref().is_err_and(is_unknown));
            match reply.claim {
                // The drop returns an unknown outcome to the worker, as the insert does to the
                // enqueuer.
                None if is_open => drop(claim),
                made => claim.answer(made),
            }
            InsertOutcome::Answered(Ok(reply.batches))
        }
        Err(error) => {
            if is_unknown(&error) {
                drop(claim);
            } else {
                claim.answer(None);
            }
            InsertOutcome::Answered(Err(error))
        }
    };
    // Fails if the enqueuer was dropped.
    let _ = stored.send(end);
}

/// A claim whose worker waits for the answer. Dropping it returns an unknown outcome, so that the
/// worker asks for its leases.
struct PendingAnswer {
    request: ClaimRequest,
    sender: Option<oneshot::Sender<Option<Answer>>>,
}

impl PendingAnswer {
    /// Sends the answer to the worker; `None` if the claim was not made.
    fn answer(mut self, reply: Option<Result<ClaimReply>>) {
        self.send(reply);
    }

    fn send(&mut self, reply: Option<Result<ClaimReply>>) {
        let Some(sender) = self.sender.take() else { return };
        // Fails if the worker was dropped.
        let _ = sender.send(reply.map(|reply| Answer { request: self.request.clone(), reply }));
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        self.send(Some(Err(missing("claim jobs"))));
    }
}

fn missing(operation: &'static str) -> Error {
    let message = "the answer to an insert with a claim is missing";
    Error::new(ErrorKind::UnknownOutcome, operation, message)
}
