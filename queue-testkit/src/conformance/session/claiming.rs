//! A claim whose parts the case sets.

use anyhow::Context as _;
use queue_core::backend::{BatchSize, ClaimReply, ClaimRequest, ClaimedJob, Cursor, ParkedClaim, Room};
use queue_core::{ClaimId, Kind, WorkerId};

use super::{GRACE, Session, queue};

/// A claim from the default queue, of every kind that the case inserted, unless it says otherwise.
#[derive(Debug)]
pub(crate) struct Claiming<'a> {
    session: &'a Session,
    worker: WorkerId,
    claim: ClaimId,
    limit: u32,
    last_attempts: Option<u32>,
    queue: &'a str,
    kinds: Option<Vec<&'a str>>,
    cursor: Option<Cursor>,
}

impl Session {
    /// A claim of up to `limit` jobs, to be adjusted and then taken.
    pub(crate) fn claiming(&self, worker: WorkerId, limit: u32) -> Claiming<'_> {
        Claiming {
            session: self,
            worker,
            claim: self.new_claim_id(),
            limit,
            last_attempts: None,
            queue: "default",
            kinds: None,
            cursor: None,
        }
    }

    /// Claims up to `limit` jobs of the default queue from its head.
    pub(crate) async fn claim(&self, worker: WorkerId, limit: u32) -> anyhow::Result<Vec<ClaimedJob>> {
        Ok(self.claiming(worker, limit).take().await?.jobs)
    }

    /// Claims the first job of the default queue, which must have one.
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

    pub(crate) fn cursor(mut self, cursor: Option<Cursor>) -> Self {
        self.cursor = cursor;
        self
    }

    /// Claims; an error is the case's.
    pub(crate) async fn take(self) -> anyhow::Result<ClaimReply> {
        Ok(self.attempt().await??)
    }

    /// Claims; the backend's answer may be an error.
    pub(crate) async fn attempt(self) -> anyhow::Result<queue_core::Result<ClaimReply>> {
        let backend = self.session.backend()?;
        Ok(backend.claim(self.request()?).await)
    }

    /// Parks the claim, of a worker that has this much room.
    pub(crate) fn park(self, room: Room) -> anyhow::Result<ParkedClaim> {
        let backend = self.session.backend()?;
        let parking = backend.parking().context("the backend does not park claims")?;
        Ok(parking.park(vec![self.request()?], BatchSize::UNLIMITED, move || room))
    }

    fn request(self) -> anyhow::Result<ClaimRequest> {
        let kinds = match &self.kinds {
            Some(names) => names.iter().map(Kind::new).collect::<queue_core::Result<Vec<Kind>>>()?,
            None => self.session.kinds(),
        };
        let mut request = ClaimRequest::new(self.worker, self.claim, queue(self.queue)?, kinds, self.limit)
            .at(self.session.now());
        request.last_attempts = self.last_attempts.unwrap_or(self.limit);
        request.grace = GRACE;
        request.cursor = self.cursor;
        self.session.shared.known().claimers.insert(self.claim, self.worker);
        Ok(request)
    }
}
