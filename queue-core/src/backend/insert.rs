//! Inserting jobs.

use super::{ClaimReply, ClaimRequest};
use crate::{JobSpec, Result, Submitted, Timestamp};

/// Several batches to store, each atomic by itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InsertRequest {
    /// The time of the insert; `None` is the backend's clock.
    pub now: Option<Timestamp>,
    /// The batches; none of them is empty, and no id stands twice within one.
    pub batches: Vec<Vec<JobSpec>>,
    /// A claim to make after the batches are stored, in the same transaction: the claim of an
    /// idle worker. The backend ignores its `now`. Core sends it only to a backend that declares
    /// [`insert_and_claim`](super::Capabilities::insert_and_claim).
    pub claim: Option<ClaimRequest>,
}

impl InsertRequest {
    /// By the backend's clock.
    #[must_use]
    pub const fn new(batches: Vec<Vec<JobSpec>>) -> Self {
        Self { now: None, batches, claim: None }
    }

    /// At a stated time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// With a claim to make in the same transaction.
    #[must_use]
    pub fn claim(mut self, claim: impl Into<Option<ClaimRequest>>) -> Self {
        self.claim = claim.into();
        self
    }
}

/// What became of an insert.
#[derive(Debug)]
#[non_exhaustive]
pub struct InsertReply {
    /// Each batch by itself, in the order of the request; empty if the request was
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

    /// Declines a request with a claim that the backend cannot grant at once. Nothing was stored.
    /// The queue sends the batches again without the claim.
    #[must_use]
    pub const fn declined() -> Self {
        Self::new(Vec::new())
    }

    /// With what the claim of the request was answered.
    #[must_use]
    pub fn claim(mut self, claim: impl Into<Option<Result<ClaimReply>>>) -> Self {
        self.claim = claim.into();
        self
    }
}
