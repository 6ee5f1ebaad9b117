//! A backend whose operations are noted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use queue_core::backend::{
    Backend, CancelReply, CancelRequest, ClaimReply, ClaimRequest, ClaimedJob, Extensions, HeartbeatReply,
    HeartbeatRequest, InsertReply, InsertRequest, Inspect, JobRecord, LeasesRequest, ListRequest,
    MaintainReply, MaintainRequest, Manage, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest,
    RetireRequest, SettleRequest, Settled, Wrapper,
};
use queue_core::{Error, ErrorKind, JobId, QueueName, Result};

use super::history::{Observed, seen};
use super::journal::Journal;
use super::session::Shared;

/// Passes everything on, and notes it: for people in the journal, for the check at the end in the history.
pub(crate) struct Recorded {
    inner: Arc<dyn Backend>,
    journal: Arc<Journal>,
    shared: Arc<Shared>,
    handle: String,
}

impl Recorded {
    /// `handle` is put before each operation; empty for the first handle of a case.
    pub(crate) fn new(
        inner: Arc<dyn Backend>,
        journal: Arc<Journal>,
        shared: Arc<Shared>,
        handle: impl Into<String>,
    ) -> Self {
        Self { inner, journal, shared, handle: handle.into() }
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
impl Wrapper for Recorded {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        let claim = request.claim.clone().map(|claim| (self.shared.history.asked(&claim), claim));
        self.shared.inserts_with_claims.fetch_add(u64::from(claim.is_some()), Ordering::SeqCst);
        let mut reply = self.observed("insert", &request.clone(), self.inner.insert(request)).await;
        if let Some((noted, claim)) = claim {
            let (made, kept) = claim_of(&mut reply);
            self.shared.history.answered(noted, &claim, &made);
            if let (Ok(reply), true) = (&mut reply, kept) {
                reply.claim = Some(made);
            }
        }
        reply
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

    fn extensions(&self) -> Extensions<'_> {
        let mut extensions = self.inner.extensions();
        extensions.inspect = extensions.inspect.map(|_| self as &dyn Inspect);
        extensions.manage = extensions.manage.map(|_| self as &dyn Manage);
        extensions
    }
}

/// What became of the claim of an insert, and whether it is the reply's own.
fn claim_of(reply: &mut Result<InsertReply>) -> (Result<ClaimReply>, bool) {
    let not_made = |kind| Error::new(kind, "claim jobs", "the claim was not made");
    match reply {
        Ok(reply) => match reply.claim.take() {
            Some(made) => (made, true),
            None => (Err(not_made(ErrorKind::Unavailable)), false),
        },
        Err(error) => (Err(not_made(error.kind())), false),
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
