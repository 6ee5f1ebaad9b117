//! A backend that says of each operation what is asked, before, and what was answered, after.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use queue_core::Result;
use queue_core::backend::{
    Backend, CancelReply, CancelRequest, ClaimReply, ClaimRequest, ClaimedJob, HeartbeatReply,
    HeartbeatRequest, InsertReply, InsertRequest, LeasesRequest, MaintainReply, MaintainRequest,
    RegisterRequest, SettleRequest, Settled, Wrapper,
};

use super::event::{Answered, Asked, Ending, Event, Failure, Lease, Named};
use super::voice::Voice;

/// Passes everything on, and says it. It reaches the points `before insert`, `insert sent` and
/// `insert answered`, and so for `claim`, `settle` and `cancel`.
pub(crate) struct Told {
    inner: Arc<dyn Backend>,
    voice: Arc<dyn Voice>,
    asked: AtomicU64,
}

impl Told {
    pub(crate) fn new(inner: Arc<dyn Backend>, voice: Arc<dyn Voice>) -> Self {
        Self { inner, voice, asked: AtomicU64::new(0) }
    }

    /// Sent means that the request's future was polled once: then it is on its way, or has arrived.
    async fn told<T: Send>(
        &self,
        operation: &str,
        asked: Asked,
        request: impl Future<Output = Result<T>> + Send,
        answered: impl FnOnce(&T) -> Answered + Send,
    ) -> Result<T> {
        self.voice.reach(&format!("before {operation}")).await;
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        self.voice.tell(&Event::Asks(number, asked));
        let mut request = pin!(request);
        let first = poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await;
        self.voice.reach(&format!("{operation} sent")).await;
        let reply = match first {
            Poll::Ready(reply) => reply,
            Poll::Pending => request.await,
        };
        let answer = match &reply {
            Ok(reply) => answered(reply),
            Err(error) => Answered::Failed(error.into()),
        };
        self.voice.tell(&Event::Answers(number, answer));
        self.voice.reach(&format!("{operation} answered")).await;
        reply
    }

    /// Says of the claim of an insert what is said of any.
    fn asks_for_a_claim(&self, request: &ClaimRequest) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let ClaimRequest { claim, worker, .. } = *request;
        self.voice.tell(&Event::Asks(number, Asked::Claim { claim, worker }));
        number
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

fn claimed(reply: &ClaimReply) -> Answered {
    Answered::Claimed(reply.jobs.iter().map(|job| (job.token.job, job.attempt)).collect())
}

fn fates<T, U>(replies: &[Result<T>], fate: impl Fn(&T) -> U) -> Vec<std::result::Result<U, Failure>> {
    replies.iter().map(|reply| reply.as_ref().map(&fate).map_err(Failure::from)).collect()
}

#[async_trait]
impl Wrapper for Told {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        let ids = request.batches.iter().map(|batch| batch.iter().map(|job| job.id).collect()).collect();
        let answered = |reply: &InsertReply| {
            Answered::Inserted(fates(&reply.batches, |jobs| jobs.iter().map(|job| job.is_new()).collect()))
        };
        let claim = request.claim.as_ref().map(|claim| self.asks_for_a_claim(claim));
        let reply = self.told("insert", Asked::Insert(ids), self.inner.insert(request), answered).await;
        if let Some(number) = claim {
            let said = match &reply {
                Ok(reply) => match &reply.claim {
                    Some(Ok(reply)) => claimed(reply),
                    Some(Err(error)) => Answered::Failed(error.into()),
                    // It took nothing.
                    None => Answered::Claimed(Vec::new()),
                },
                Err(error) => Answered::Failed(error.into()),
            };
            self.voice.tell(&Event::Answers(number, said));
        }
        reply
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        let asked = Asked::Claim { claim: request.claim, worker: request.worker };
        self.told("claim", asked, self.inner.claim(request), claimed).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        let asked = Asked::Claim { claim: request.claim, worker: request.worker };
        let answered = |jobs: &Vec<ClaimedJob>| {
            Answered::Claimed(jobs.iter().map(|job| (job.token.job, job.attempt)).collect())
        };
        self.told("leases", asked, self.inner.leases(request), answered).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let lease = |one: &queue_core::backend::Settlement| {
            (Lease { job: one.token.job, claim: one.token.claim }, Ending::of(&one.verdict))
        };
        let asked = Asked::Settle(request.settlements.iter().map(lease).collect());
        let answered =
            |replies: &Vec<Result<Settled>>| Answered::Settled(fates(replies, |&settled| settled.into()));
        self.told("settle", asked, self.inner.settle(request), answered).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let asked = Asked::Cancel(request.jobs.clone());
        let answered = |replies: &Vec<CancelReply>| {
            Answered::Cancelled(replies.iter().map(|&reply| reply.into()).collect())
        };
        self.told("cancel", asked, self.inner.cancel(request), answered).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        let asked = Asked::Register(Named(request.worker));
        self.told("register", asked, self.inner.register(request), |()| Answered::Alive).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let asked = Asked::Beat(Named(request.worker));
        self.told("heartbeat", asked, self.inner.heartbeat(request), |_| Answered::Alive).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        let reply = self.inner.maintain(request).await?;
        let (jobs, workers) = (reply.rescued + reply.died, reply.workers_lost);
        if jobs + workers > 0 {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            self.voice.tell(&Event::Answers(number, Answered::Rescued { jobs, workers }));
        }
        Ok(reply)
    }
}
