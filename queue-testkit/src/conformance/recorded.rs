//! A backend whose operations are noted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use queue_core::backend::{
    Backend, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, Extensions,
    HeartbeatReply, HeartbeatRequest, InsertRequest, Inspect, JobRecord, LeasesRequest, ListRequest,
    MaintainReply, MaintainRequest, Manage, ParkedClaim, ParkedClaims, ReadyQueuesReply, ReadyQueuesRequest,
    RegisterRequest, RetireRequest, SettleRequest, Settled, TakenClaim, WakeReceiver,
};
use queue_core::{Error, ErrorKind, JobId, QueueName, Result, Submitted};

use super::history::{Noted, Observed, seen};
use super::journal::Journal;
use super::session::Shared;

/// Passes everything on, and notes it: for people in the journal, for the check at the end in the history.
pub(crate) struct Recorded {
    inner: Arc<dyn Backend>,
    journal: Arc<Journal>,
    shared: Arc<Shared>,
    handle: String,
    parking: ParkedClaims,
}

impl Recorded {
    /// `handle` is put before each operation; empty for the first handle of a case.
    pub(crate) fn new(
        inner: Arc<dyn Backend>,
        journal: Arc<Journal>,
        shared: Arc<Shared>,
        handle: impl Into<String>,
    ) -> Self {
        Self { inner, journal, shared, handle: handle.into(), parking: ParkedClaims::new() }
    }

    /// Notes a request that concerns jobs.
    async fn observed<R>(
        &self,
        operation: &str,
        request: &R,
        reply: impl Future<Output = Result<R::Reply>> + Send,
    ) -> Result<R::Reply>
    where
        R: Observed<Reply: fmt::Debug + Send + Sync> + fmt::Debug + Sync,
    {
        let noted = self.shared.history.asked(request);
        let number = self.journal.asked(&format!("{}{operation}", self.handle), request);
        let reply = reply.await;
        self.journal.answered(number, &reply);
        self.shared.history.answered(noted, request, &reply);
        reply
    }

    /// Notes a request that concerns no job.
    async fn noted<T: fmt::Debug + Send>(
        &self,
        operation: &str,
        request: &(dyn fmt::Debug + Sync),
        reply: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let number = self.journal.asked(&format!("{}{operation}", self.handle), &request);
        let reply = reply.await;
        self.journal.answered(number, &reply);
        self.shared.history.failed(reply.as_ref().err());
        reply
    }

    fn missing(what: &'static str) -> Error {
        Error::new(ErrorKind::Unsupported, what, "the backend does not offer it")
    }

    fn reading(&self) -> Result<&dyn Inspect> {
        self.inner.extensions().inspect.ok_or_else(|| Self::missing("read jobs"))
    }

    fn managing(&self) -> Result<&dyn Manage> {
        self.inner.extensions().manage.ok_or_else(|| Self::missing("pause queues"))
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Backend for Recorded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        let jobs = request.batches.iter().flatten();
        let parked = self.inner.parking().zip(self.parking.take(jobs, request.now));
        let parked = parked.map(|(parking, taken)| Parked::pass_on(self, parking, taken));
        let fates = self.observed("insert", &request.clone(), self.inner.insert(request)).await;
        if let Some(parked) = parked {
            parked.end(self).await;
        }
        fates
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.observed("claim", &request.clone(), self.inner.claim(request)).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.noted("ready_queues", &request.clone(), self.inner.ready_queues(request)).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.observed("leases", &request.clone(), self.inner.leases(request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.observed("settle", &request.clone(), self.inner.settle(request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.observed("cancel", &request.clone(), self.inner.cancel(request)).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.noted("register", &request.clone(), self.inner.register(request)).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.noted("heartbeat", &request.clone(), self.inner.heartbeat(request)).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.noted("retire", &request.clone(), self.inner.retire(request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.observed("maintain", &request.clone(), self.inner.maintain(request)).await
    }

    fn subscribe(&self) -> WakeReceiver {
        self.inner.subscribe()
    }

    fn parking(&self) -> Option<&ParkedClaims> {
        self.inner.parking().map(|_| &self.parking)
    }

    fn extensions(&self) -> Extensions<'_> {
        let mut extensions = self.inner.extensions();
        extensions.inspect = extensions.inspect.map(|_| self as &dyn Inspect);
        extensions.manage = extensions.manage.map(|_| self as &dyn Manage);
        extensions
    }
}

/// A parked claim that was passed on to the backend, for the insert that is to serve it.
struct Parked {
    /// Dropped first: nobody may make it once the worker has looked for its leases.
    claim: ParkedClaim,
    taken: TakenClaim,
    noted: Noted,
    number: u64,
}

impl Parked {
    fn pass_on(recorded: &Recorded, parking: &ParkedClaims, taken: TakenClaim) -> Self {
        let request = taken.request();
        let noted = recorded.shared.history.asked(request);
        let number = recorded.journal.asked(&format!("{}claim, parked,", recorded.handle), request);
        let claim = taken.pass_on(parking);
        Self { taken, claim, noted, number }
    }

    async fn end(self, recorded: &Recorded) {
        let Self { taken, claim, noted, number } = self;
        let answer = claim.withdraw().await;
        let request = taken.request().clone();
        let declined = Error::new(ErrorKind::Unavailable, "claim jobs", "the claim was declined");
        let declined = Err(declined);
        let reply = answer.as_ref().map_or(&declined, |answer| &answer.reply);
        recorded.journal.answered(number, reply);
        recorded.shared.history.answered(noted, &request, reply);
        taken.pass_back(answer);
    }
}

/// Reads are not in the journal: some cases look again and again.
#[async_trait]
impl Inspect for Recorded {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let asked = self.shared.history.moment();
        let reply = self.reading()?.jobs(ids).await;
        self.shared.history.failed(reply.as_ref().err());
        let records = reply?;
        let jobs = ids.iter().zip(&records);
        let jobs = jobs.map(|(job, record)| record.as_ref().map_or((*job, None), seen));
        self.shared.history.read(asked, jobs);
        Ok(records)
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        let asked = self.shared.history.moment();
        let reply = self.reading()?.list(request).await;
        self.shared.history.failed(reply.as_ref().err());
        let records = reply?;
        self.shared.history.read(asked, records.iter().map(seen));
        Ok(records)
    }
}

#[async_trait]
impl Manage for Recorded {
    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.noted("pause", queue, self.managing()?.pause(queue)).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.noted("resume", queue, self.managing()?.resume(queue)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.noted("paused", &"", self.managing()?.paused()).await
    }
}
