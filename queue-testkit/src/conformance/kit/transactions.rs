//! Transactions of an application, recorded like the inserts of a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};
use queue_core::{Deferred, JobContext, JobId, JobQueue, NewJob, Token};

use super::Kit;
use crate::conformance::history::Sink;
use crate::conformance::history::event::{
    Answered, Asked, Ending, Event, Failure, LeaseEnd, NewJob as Recorded, SettleAnswer,
};
use crate::conformance::history::request::hash;
use crate::conformance::program::new_job;
use crate::conformance::storage::{ApplicationTransaction, Handles};
use crate::conformance::subject::Subject;

/// The attempts of each job of a transaction.
const RETRIES: u16 = 3;

/// The first number of a request, apart from those of a backend in the same process.
const FIRST_NUMBER: u64 = 1 << 32;

/// An open transaction, whose inserts take effect with its commit.
pub(crate) struct Transaction {
    open: Option<Box<dyn ApplicationTransaction>>,
    jobs: JobQueue,
    sink: Arc<dyn Sink>,
    /// The number of each request, and its answer if the transaction is committed.
    asked: Vec<(u64, Answered)>,
    /// The number of the next insert of the process.
    next: Arc<AtomicU64>,
}

/// Begins the transactions of a process, also in tasks of their own.
pub(crate) struct Beginner {
    subject: Arc<dyn Subject>,
    address: String,
    jobs: JobQueue,
    sink: Arc<dyn Sink>,
    next: Arc<AtomicU64>,
}

impl Beginner {
    pub(crate) fn new(
        subject: Arc<dyn Subject>,
        address: String,
        jobs: JobQueue,
        sink: Arc<dyn Sink>,
    ) -> Self {
        Self { subject, address, jobs, sink, next: Arc::new(AtomicU64::new(FIRST_NUMBER)) }
    }

    pub(crate) async fn begin(&self) -> anyhow::Result<Transaction> {
        let begun = begin(&*self.subject, &self.address).await?;
        Ok(Transaction {
            open: Some(begun.context("the subject began a transaction before, and now none")?),
            jobs: self.jobs.clone(),
            sink: Arc::clone(&self.sink),
            asked: Vec::new(),
            next: Arc::clone(&self.next),
        })
    }
}

async fn begin(
    subject: &dyn Subject,
    address: &str,
) -> anyhow::Result<Option<Box<dyn ApplicationTransaction>>> {
    subject.begin(address).await.map_err(|error| anyhow!("the subject's `begin` failed: {error}"))
}

impl Kit {
    /// Begins a transaction of an application.
    pub(crate) async fn begin(&self) -> anyhow::Result<Transaction> {
        self.beginner()?.begin().await
    }

    /// Prepares to begin transactions in a task of its own.
    pub(crate) fn beginner(&self) -> anyhow::Result<Beginner> {
        let sink = self.history().process(format!("transaction {}", self.new_number()));
        let address = self.address().context("`Storage::address` returned none")?;
        Ok(Beginner::new(Arc::clone(&self.subject), address, JobQueue::new(self.backend()?), sink))
    }

    /// Whether the storage has transactions of an application.
    pub(crate) async fn can_begin(&self) -> anyhow::Result<bool> {
        let Some(address) = self.address() else { return Ok(false) };
        Ok(begin(&*self.subject, &address).await?.is_some())
    }

    /// A job for a transaction, which may run at the time of the case.
    pub(crate) fn job(&self, kind: &str) -> anyhow::Result<NewJob> {
        self.knows_kind(&kind.parse()?);
        let job = new_job(kind, "{}")?.id(JobId::generate()).max_retries(RETRIES);
        Ok(job.run_at(self.now()))
    }
}

impl Transaction {
    /// Enqueues a batch.
    pub(crate) async fn enqueue(
        &mut self,
        batch: Vec<NewJob>,
    ) -> anyhow::Result<queue_core::Result<Handles>> {
        let request = self.jobs.enqueue_batch(batch.clone());
        let (number, ids) = self.ask(batch)?;
        let reply = self.open()?.enqueue(request).await;
        self.keep(number, &ids, reply.as_ref().ok());
        Ok(reply)
    }

    /// Enqueues a batch, and defers its wake-up.
    pub(crate) async fn enqueue_deferred(&mut self, batch: Vec<NewJob>) -> anyhow::Result<Deferred<Handles>> {
        let request = self.jobs.enqueue_batch(batch.clone());
        let (number, ids) = self.ask(batch)?;
        let reply = self.open()?.enqueue_deferred(request).await?;
        self.keep(number, &ids, Some(reply.handles()));
        Ok(reply)
    }

    /// Completes the job of a lease, with a result that is this text, and with follow-ups.
    pub(crate) async fn complete(
        &mut self,
        token: Token,
        result: &str,
        follow_ups: Vec<NewJob>,
    ) -> anyhow::Result<queue_core::Result<()>> {
        let context = JobContext::new("job".parse()?).with_jobs(self.jobs.clone()).with_lease(token);
        if !follow_ups.is_empty() {
            self.jobs.enqueue_batch(follow_ups).on_success(&context)?;
        }
        self.complete_by(&context, result).await
    }

    /// As [`complete`](Self::complete), by the context of a handler.
    pub(crate) async fn complete_by(
        &mut self,
        context: &JobContext,
        result: &str,
    ) -> anyhow::Result<queue_core::Result<()>> {
        let token = context.lease().context("the context has no lease")?;
        let end = LeaseEnd {
            lease: token.into(),
            ending: Ending::Complete(Some(hash(serde_json::to_string(result)?.as_bytes()))),
            follow_ups: context.follow_ups().iter().map(Recorded::from).collect(),
        };
        let number = self.record(Asked::Settle(vec![end]));
        let reply = self.open()?.complete(context.complete(result)).await;
        match &reply {
            Ok(()) => self.asked.push((number, Answered::Settled(vec![Ok(SettleAnswer::Done)]))),
            // The check expects a repeated settle to succeed. In a transaction it fails with
            // `LeaseLost`, so it is recorded as refused.
            Err(_) => self.refuse(number),
        }
        Ok(reply)
    }

    pub(crate) async fn commit(mut self) -> anyhow::Result<()> {
        let open = self.open.take().context("the transaction has ended")?;
        let committed = open.commit().await;
        for (number, answered) in std::mem::take(&mut self.asked) {
            let is_unknown = committed.is_err();
            let answered = if is_unknown { Answered::Failed(Failure::UnknownOutcome) } else { answered };
            self.sink.write(Event::Answered(number, answered));
        }
        committed.map_err(|error| anyhow!("the commit failed: {error}"))
    }

    pub(crate) async fn roll_back(mut self) -> anyhow::Result<()> {
        let open = self.open.take().context("the transaction has ended")?;
        open.roll_back().await.map_err(|error| anyhow!("the rollback failed: {error}"))
    }

    fn open(&mut self) -> anyhow::Result<&mut dyn ApplicationTransaction> {
        Ok(&mut **self.open.as_mut().context("the transaction has ended")?)
    }

    fn ask(&mut self, batch: Vec<NewJob>) -> anyhow::Result<(u64, Vec<JobId>)> {
        let prepared = self.jobs.prepare(batch)?;
        let batch = prepared.jobs().iter().map(Recorded::from).collect();
        Ok((self.record(Asked::Insert { batches: vec![batch], claim: None }), prepared.ids()))
    }

    fn record(&self, asked: Asked) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.sink.write(Event::Asked(number, asked));
        number
    }

    /// Keeps the reply until the commit, or records that nothing was stored.
    fn keep(&mut self, number: u64, ids: &[JobId], reply: Option<&Handles>) {
        match reply {
            Some(handles) => {
                // A duplicate has the id of another job, and stores nothing.
                let stored = handles.iter().zip(ids);
                let stored = stored.map(|(job, id)| (job.id() == *id).then(|| job.is_new()));
                let batches = vec![Ok(stored.collect())];
                self.asked.push((number, Answered::Inserted { batches, claim: None }));
            }
            None => self.refuse(number),
        }
    }

    fn refuse(&self, number: u64) {
        self.sink.write(Event::Answered(number, Answered::Failed(Failure::Refused)));
    }
}

/// Without a commit, nothing was stored.
impl Drop for Transaction {
    fn drop(&mut self) {
        for (number, _) in std::mem::take(&mut self.asked) {
            self.refuse(number);
        }
    }
}
