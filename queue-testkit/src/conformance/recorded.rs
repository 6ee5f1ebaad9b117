//! A wrapper that records the operations of a backend.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};

use async_trait::async_trait;
use queue_core::backend::{
    Backend, CancelReply, CancelRequest, ChangeSchedulesRequest, ClaimReply, ClaimRequest, ClaimedJob,
    DueSchedulesReply, DueSchedulesRequest, Extensions, HeartbeatReply, HeartbeatRequest, InsertReply,
    InsertRequest, Inspect, JobRecord, LeasesRequest, ListRequest, MaintainReply, MaintainRequest, Manage,
    NextReady, ReadyQueuesReply, ReadyQueuesRequest, RegisterRequest, RetireRequest, RetryReply,
    RetryRequest, ScheduleChanged, ScheduleStore, SettleRequest, Settled, StoredSchedule, Wrapper,
};
use queue_core::{Error, ErrorKind, JobId, QueueName, Result, ScheduleName};
use tokio::time::timeout;

use super::history::Sink;
use super::history::event::{Answered, Asked, Event, Found};
use super::history::request::{Request, answer};
use super::journal::Journal;
use super::wait::bound;

/// Forwards every operation and records it, as events for the check and as text in the journal. An
/// insert reaches the points `before insert`, `insert sent` and `insert answered`; other operations
/// have the same points.
pub(crate) struct Recorded {
    inner: Arc<dyn Backend>,
    sink: Arc<dyn Sink>,
    journal: Arc<Journal>,
    handle: String,
    numbers: AtomicU64,
}

impl Recorded {
    /// `handle` is the prefix of each operation in the journal; empty for the first handle of a
    /// case.
    pub(crate) fn new(
        inner: Arc<dyn Backend>,
        sink: Arc<dyn Sink>,
        journal: Arc<Journal>,
        handle: impl Into<String>,
    ) -> Self {
        Self { inner, sink, journal, handle: handle.into(), numbers: AtomicU64::new(0) }
    }

    /// Records an operation that the history checks.
    async fn recorded<R>(
        &self,
        operation: &str,
        request: &R,
        reply: impl Future<Output = Result<R::Reply>> + Send,
    ) -> Result<R::Reply>
    where
        R: Request<Reply: fmt::Debug + Send + Sync> + fmt::Debug + Sync,
    {
        self.operation(operation, request, request.asked(), reply, answer::<R>).await
    }

    /// Records an operation that concerns no job.
    async fn other<T: fmt::Debug + Send + Sync>(
        &self,
        operation: &str,
        request: &(impl fmt::Debug + Sync),
        reply: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let answered = |reply: &Result<T>| match reply {
            Ok(_) => Answered::Done,
            Err(error) => Answered::Failed(error.into()),
        };
        self.operation(operation, request, Asked::Other, reply, answered).await
    }

    /// Records an operation and reaches its points.
    async fn operation<T: fmt::Debug + Send + Sync>(
        &self,
        operation: &str,
        request: &(impl fmt::Debug + Sync),
        asked: Asked,
        reply: impl Future<Output = Result<T>> + Send,
        answered: impl FnOnce(&Result<T>) -> Answered + Send,
    ) -> Result<T> {
        self.sink.reach(&format!("before {operation}")).await;
        let entry = self.journal.asked(&format!("{}{operation}", self.handle), request);
        let number = self.ask(asked);
        let sent = format!("{operation} sent");
        let reply = reaching(self.sink.reach(&sent), answered_in_time(&self.journal, operation, reply)).await;
        self.sink.write(Event::Answered(number, answered(&reply)));
        self.journal.answered(entry, &reply);
        self.sink.reach(&format!("{operation} answered")).await;
        reply
    }

    /// Records a read. It is not in the journal, because some cases read in a loop.
    async fn read<T>(
        &self,
        reply: impl Future<Output = Result<T>> + Send,
        found: impl FnOnce(&T) -> Vec<(JobId, Option<Found>)> + Send,
    ) -> Result<T> {
        let number = self.ask(Asked::Read);
        let reply = answered_in_time(&self.journal, "read", reply).await;
        let answered = match &reply {
            Ok(reply) => Answered::Read(found(reply)),
            Err(error) => Answered::Failed(error.into()),
        };
        self.sink.write(Event::Answered(number, answered));
        reply
    }

    fn ask(&self, asked: Asked) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        self.sink.write(Event::Asked(number, asked));
        number
    }

    fn missing(what: &'static str) -> Error {
        Error::new(ErrorKind::Unsupported, what, "the backend does not offer it")
    }

    fn reading(&self) -> Result<&dyn Inspect> {
        self.inner.extensions().inspect.ok_or_else(|| Self::missing("read jobs"))
    }

    fn managing(&self) -> Result<&dyn Manage> {
        self.inner.extensions().manage.ok_or_else(|| Self::missing("manage queues"))
    }

    fn scheduling(&self) -> Result<&dyn ScheduleStore> {
        self.inner.extensions().schedules.ok_or_else(|| Self::missing("use schedules"))
    }
}

/// Ends the wait for a backend that never replies, which fails the case whatever it expects. The
/// request may still take effect.
async fn answered_in_time<T>(
    journal: &Journal,
    operation: &str,
    reply: impl Future<Output = Result<T>>,
) -> Result<T> {
    let bound = bound();
    timeout(bound, reply).await.unwrap_or_else(|_| {
        journal.timed_out(operation, bound);
        let operation = format!("send the request `{operation}`");
        Err(Error::new(ErrorKind::UnknownOutcome, operation, "the backend has not replied"))
    })
}

/// Polls a request once, so that it is in progress, then reaches the point and polls on. Each poll
/// of this future polls the request at most once, because cases drop it after each poll.
async fn reaching<T>(point: impl Future<Output = ()>, request: impl Future<Output = T>) -> T {
    let (mut point, mut request) = (pin!(point), pin!(request));
    let (mut is_sent, mut is_passed, mut reply) = (false, false, Poll::Pending);
    poll_fn(|context| {
        let is_first = !std::mem::replace(&mut is_sent, true);
        if is_first {
            reply = request.as_mut().poll(context);
        }
        if !is_passed {
            ready!(point.as_mut().poll(context));
            is_passed = true;
        }
        if !is_first && reply.is_pending() {
            reply = request.as_mut().poll(context);
        }
        std::mem::replace(&mut reply, Poll::Pending)
    })
    .await
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
        self.recorded("insert", &request.clone(), self.inner.insert(request)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.recorded("claim", &request.clone(), self.inner.claim(request)).await
    }

    async fn ready_queues(&self, request: ReadyQueuesRequest) -> Result<ReadyQueuesReply> {
        self.other("ready_queues", &request.clone(), self.inner.ready_queues(request)).await
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.recorded("leases", &request.clone(), self.inner.leases(request)).await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.recorded("settle", &request.clone(), self.inner.settle(request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.recorded("cancel", &request.clone(), self.inner.cancel(request)).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.recorded("register", &request.clone(), self.inner.register(request)).await
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.recorded("heartbeat", &request.clone(), self.inner.heartbeat(request)).await
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.other("retire", &request.clone(), self.inner.retire(request)).await
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.recorded("maintain", &request.clone(), self.inner.maintain(request)).await
    }

    fn extensions(&self) -> Extensions<'_> {
        let mut extensions = self.inner.extensions();
        extensions.inspect = extensions.inspect.map(|_| self as &dyn Inspect);
        extensions.manage = extensions.manage.map(|_| self as &dyn Manage);
        extensions.schedules = extensions.schedules.map(|_| self as &dyn ScheduleStore);
        extensions
    }
}

#[async_trait]
impl Inspect for Recorded {
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let found = |records: &Vec<Option<JobRecord>>| {
            let jobs = ids.iter().zip(records);
            jobs.map(|(job, record)| (*job, record.as_ref().map(Found::from))).collect()
        };
        self.read(self.reading()?.jobs(ids), found).await
    }

    async fn list(&self, request: ListRequest) -> Result<Vec<JobRecord>> {
        let found = |records: &Vec<JobRecord>| {
            records.iter().map(|record| (record.job.id, Some(Found::from(record)))).collect()
        };
        self.read(self.reading()?.list(request), found).await
    }

    async fn next_ready(&self, queues: &[QueueName]) -> Result<Vec<NextReady>> {
        self.other("next_ready", &queues, self.reading()?.next_ready(queues)).await
    }
}

#[async_trait]
impl Manage for Recorded {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.recorded("retry", &request.clone(), self.managing()?.retry(request)).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.other("pause", queue, self.managing()?.pause(queue)).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.other("resume", queue, self.managing()?.resume(queue)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.other("paused", &"", self.managing()?.paused()).await
    }
}

#[async_trait]
impl ScheduleStore for Recorded {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        self.other("due", &request.clone(), self.scheduling()?.due(request)).await
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        self.recorded("change", &request.clone(), self.scheduling()?.change(request)).await
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        self.other("get", &names, self.scheduling()?.get(names)).await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        self.other("list schedules", &(after, limit), self.scheduling()?.list(after, limit)).await
    }
}
