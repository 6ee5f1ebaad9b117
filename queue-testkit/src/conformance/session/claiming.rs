//! A claim with parameters.

use anyhow::Context as _;
use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, InsertRequest};
use queue_core::{ClaimId, JobId, Kind, WorkerId};

use super::{GRACE, Session, queue};
use crate::conformance::spec::Spec;

/// A claim from the default queue, of every kind that the case has inserted, unless the case sets
/// otherwise.
#[derive(Debug)]
pub(crate) struct Claiming<'a> {
    session: &'a Session,
    worker: WorkerId,
    claim: ClaimId,
    limit: u32,
    last_attempts: Option<u32>,
    queue: &'a str,
    kinds: Option<Vec<&'a str>>,
}

impl Session {
    /// Builds a claim of up to `limit` jobs.
    pub(crate) fn claiming(&self, worker: WorkerId, limit: u32) -> Claiming<'_> {
        Claiming {
            session: self,
            worker,
            claim: self.new_claim_id(),
            limit,
            last_attempts: None,
            queue: "default",
            kinds: None,
        }
    }

    /// Claims up to `limit` jobs of the default queue.
    pub(crate) async fn claim(&self, worker: WorkerId, limit: u32) -> anyhow::Result<Vec<ClaimedJob>> {
        Ok(self.claiming(worker, limit).take().await?.jobs)
    }

    /// Claims the first job of the default queue. Fails if there is none.
    pub(crate) async fn claim_one(&self, worker: WorkerId) -> anyhow::Result<ClaimedJob> {
        self.claim(worker, 1).await?.pop().context("a claim of one job found none")
    }
}

impl<'a> Claiming<'a> {
    pub(crate) fn claim_id(mut self, claim: ClaimId) -> Self {
        self.claim = claim;
        self
    }

    pub(crate) fn queue(mut self, queue: &'a str) -> Self {
        self.queue = queue;
        self
    }

    pub(crate) fn kinds(mut self, kinds: &[&'a str]) -> Self {
        self.kinds = Some(kinds.to_vec());
        self
    }

    pub(crate) fn last_attempts(mut self, most: u32) -> Self {
        self.last_attempts = Some(most);
        self
    }

    /// Claims. An error of the backend fails the case.
    pub(crate) async fn take(self) -> anyhow::Result<ClaimReply> {
        Ok(self.attempt().await??)
    }

    /// Claims. Returns an error of the backend.
    pub(crate) async fn attempt(self) -> anyhow::Result<queue_core::Result<ClaimReply>> {
        let backend = self.session.backend()?;
        Ok(backend.claim(self.request()?).await)
    }

    /// Inserts a batch together with the claim.
    pub(crate) async fn with_insert(self, specs: Vec<Spec>) -> anyhow::Result<Inserted> {
        let session = self.session;
        let batch = specs.into_iter().map(Spec::build).collect::<queue_core::Result<Vec<_>>>()?;
        for spec in &batch {
            session.knows_kind(&spec.kind);
        }
        let request = InsertRequest::new(vec![batch]).at(session.now()).claim(self.request()?);
        let mut reply = session.backend()?.insert(request).await?;
        if reply.batches.is_empty() {
            return Ok(Inserted::Declined);
        }
        let jobs = reply.batches.remove(0).map(|jobs| jobs.iter().map(|job| job.id).collect());
        Ok(Inserted::Done(jobs, reply.claim))
    }

    pub(crate) fn request(self) -> anyhow::Result<ClaimRequest> {
        let kinds = match &self.kinds {
            Some(names) => names.iter().map(Kind::new).collect::<queue_core::Result<Vec<Kind>>>()?,
            None => self.session.kinds(),
        };
        let mut request = ClaimRequest::new(self.worker, self.claim, queue(self.queue)?, kinds, self.limit)
            .at(self.session.now());
        request.last_attempts = self.last_attempts.unwrap_or(self.limit);
        request.grace = GRACE;
        self.session.shared.known().claimers.insert(self.claim, self.worker);
        Ok(request)
    }
}

/// The result of an insert with a claim.
#[derive(Debug)]
pub(crate) enum Inserted {
    /// The backend declined and changed nothing.
    Declined,
    /// The jobs, and the reply to the claim if it was executed.
    Done(queue_core::Result<Vec<JobId>>, Option<queue_core::Result<ClaimReply>>),
}

impl Inserted {
    /// Fails if the backend declined.
    #[expect(clippy::type_complexity, reason = "cases destructure it at once")]
    pub(crate) fn done(
        self,
    ) -> anyhow::Result<(queue_core::Result<Vec<JobId>>, Option<queue_core::Result<ClaimReply>>)> {
        match self {
            Self::Done(jobs, claim) => Ok((jobs, claim)),
            Self::Declined => {
                anyhow::bail!("the backend declined an insert with a claim without a reason")
            }
        }
    }
}
