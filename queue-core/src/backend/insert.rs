//! Inserts of jobs.

use super::{ClaimReply, ClaimRequest};
use crate::{JobSpec, Result, Submitted, Timestamp};

/// A request to store several batches, each of which is atomic.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InsertRequest {
    /// The time of the request; `None` means the backend's clock.
    pub now: Option<Timestamp>,
    /// The batches. No batch is empty, and an id is in a batch at most once.
    pub batches: Vec<Vec<JobSpec>>,
    /// The claim of an idle worker, to make after the batches are stored, in the same transaction.
    /// The backend ignores its `now`. The queue sends it only to a backend that declares
    /// [`insert_and_claim`](super::Capabilities::insert_and_claim).
    pub claim: Option<ClaimRequest>,
}

impl InsertRequest {
    /// A request by the backend's clock, without a claim.
    #[must_use]
    pub const fn new(batches: Vec<Vec<JobSpec>>) -> Self {
        Self { now: None, batches, claim: None }
    }

    /// Sets the time of the request.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// Sets the claim to make in the same transaction.
    #[must_use]
    pub fn claim(mut self, claim: impl Into<Option<ClaimRequest>>) -> Self {
        self.claim = claim.into();
        self
    }
}

/// The reply to an insert.
#[derive(Debug)]
#[non_exhaustive]
pub struct InsertReply {
    /// One result per batch, in request order; empty if the request was
    /// [declined](Self::declined).
    pub batches: Vec<Result<Vec<Submitted>>>,
    /// The reply to the claim, as [`claim`](super::Backend::claim) returns it; `None` if the claim
    /// was not made. If the backend does not know whether it was made, it must return an
    /// [`UnknownOutcome`](crate::ErrorKind::UnknownOutcome).
    pub claim: Option<Result<ClaimReply>>,
}

impl InsertReply {
    /// A reply without a claim.
    #[must_use]
    pub const fn new(batches: Vec<Result<Vec<Submitted>>>) -> Self {
        Self { batches, claim: None }
    }

    /// Declines a request whose claim would have to wait. The backend must have stored nothing. The
    /// queue sends the batches again without the claim.
    #[must_use]
    pub const fn declined() -> Self {
        Self::new(Vec::new())
    }

    /// Sets the reply to the claim of the request.
    #[must_use]
    pub fn claim(mut self, claim: impl Into<Option<Result<ClaimReply>>>) -> Self {
        self.claim = claim.into();
        self
    }
}
