//! Collects the inserts that arrive during a commit, so that they share the next one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use queue_core::backend::{InsertReply, InsertRequest};
use queue_core::{Error, ErrorKind, JobSpec, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use crate::columns;
use crate::core::Core;
use crate::insert::{insert, insert_with_claim};

/// Number of groups that are written concurrently, so that the next one is prepared while one waits
/// for the disk.
const CONCURRENT_GROUPS: usize = 2;

/// Maximum number of jobs in a group; a batch is never divided.
const MAX_GROUP_JOBS: usize = 5000;

/// Maximum size of the payloads of a group in bytes.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// A group of several requests makes a claim only with at most this many jobs.
const MAX_JOBS_WITH_CLAIM: usize = 100;

/// A group of several requests makes a claim only with at most this many bytes of payloads.
const MAX_BYTES_WITH_CLAIM: usize = 1 << 20;

/// Sends inserts to the task that writes them.
#[derive(Debug, Clone)]
pub(crate) struct InsertBatcher(UnboundedSender<PendingInsert>);

#[derive(Debug)]
struct PendingInsert {
    request: InsertRequest,
    reply: oneshot::Sender<InsertReply>,
}

impl PendingInsert {
    fn size(&self) -> (usize, usize) {
        let jobs = self.request.batches.iter().flatten();
        jobs.fold((0, 0), |(jobs, bytes), job| (jobs + 1, bytes + columns::bytes(job)))
    }

    /// Declines the request if it has a claim.
    fn without_claim(self) -> Option<Self> {
        if self.request.claim.is_none() {
            return Some(self);
        }
        // The enqueuer may have been dropped.
        let _ = self.reply.send(InsertReply::declined());
        None
    }
}

impl InsertBatcher {
    /// A batcher, and the future that serves it.
    pub(crate) fn new(core: Arc<Core>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), serve(core, receiver))
    }

    /// Inserts the batches in the order of the calls.
    pub(crate) async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        let (reply, answer) = oneshot::channel();
        let closed = |_| Error::new(ErrorKind::Unavailable, "enqueue jobs", "the database was closed");
        self.0.send(PendingInsert { request, reply }).map_err(|error| closed(error.to_string()))?;
        // A group whose task ended without an answer may have been committed.
        answer.await.map_err(|error| {
            Error::new(ErrorKind::UnknownOutcome, "enqueue jobs", "the database was closed")
                .with_source(error)
        })
    }
}

async fn serve(core: Arc<Core>, arrivals: UnboundedReceiver<PendingInsert>) {
    let running = Arc::new(Semaphore::new(CONCURRENT_GROUPS));
    let mut pending_inserts = PendingInserts { waiting: VecDeque::new(), arrivals };
    while pending_inserts.has_next().await {
        // Gathers the group only after this, so that inserts that arrive in the meantime join it.
        let permit = match Arc::clone(&running).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                match pending_inserts.decline_claims_until(Arc::clone(&running).acquire_owned()).await {
                    Ok(permit) => permit,
                    Err(_) => return,
                }
            }
        };
        let group = pending_inserts.gather();
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            write(&core, group).await;
            drop(permit);
        });
    }
    let all = u32::try_from(CONCURRENT_GROUPS).unwrap_or(u32::MAX);
    // Never fails, because the semaphore is never closed.
    let _ = running.acquire_many(all).await;
}

/// The requests that are not yet in a group, in order.
struct PendingInserts {
    waiting: VecDeque<PendingInsert>,
    arrivals: UnboundedReceiver<PendingInsert>,
}

impl PendingInserts {
    /// Waits for a request. Returns `false` after all handles were dropped.
    async fn has_next(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.waiting.extend(self.arrivals.recv().await);
        }
        !self.waiting.is_empty()
    }

    /// Until `permit` is ready, declines requests with claims. Otherwise their workers would wait
    /// for groups that may wait for locks.
    async fn decline_claims_until<T>(&mut self, permit: impl Future<Output = T>) -> T {
        for waiting in std::mem::take(&mut self.waiting) {
            self.waiting.extend(waiting.without_claim());
        }
        let declining = async {
            while let Some(arrival) = self.arrivals.recv().await {
                self.waiting.extend(arrival.without_claim());
            }
            pending::<Infallible>().await
        };
        match select(pin!(permit), pin!(declining)).await {
            Either::Left((permit, _)) => permit,
            Either::Right((never, _)) => match never {},
        }
    }

    fn next(&mut self) -> Option<PendingInsert> {
        self.waiting.pop_front().or_else(|| self.arrivals.try_recv().ok())
    }

    /// Takes pending requests, up to the limits.
    fn gather(&mut self) -> Vec<PendingInsert> {
        let (mut group, mut jobs, mut bytes) = (Vec::<PendingInsert>::new(), 0, 0);
        while jobs < MAX_GROUP_JOBS && bytes < MAX_GROUP_BYTES {
            let Some(next) = self.next() else { break };
            let (more_jobs, more_bytes) = next.size();
            (jobs, bytes) = (jobs + more_jobs, bytes + more_bytes);
            // A statement has only one time.
            let fits = jobs <= MAX_GROUP_JOBS && bytes <= MAX_GROUP_BYTES;
            if group.first().is_some_and(|first| first.request.now != next.request.now || !fits) {
                self.waiting.push_front(next);
                break;
            }
            group.push(next);
        }
        group
    }
}

async fn write(core: &Core, mut group: Vec<PendingInsert>) {
    if let Some(claimant) = claimant(&group) {
        match write_with_claim(core, group, claimant).await {
            Ok(()) => return,
            Err(declined) => group = declined,
        }
    }
    // Declines claims first, because their workers wait.
    let mut group: Vec<PendingInsert> = group.into_iter().filter_map(PendingInsert::without_claim).collect();
    let now = group.first().and_then(|first| first.request.now);
    let (counts, batches) = take_batches(&mut group);
    let results = insert(core, now, &batches).await;
    answer(group, &counts, InsertReply::new(results), None);
}

/// Returns the unchanged group as an error if the claim of this request cannot be made at once.
async fn write_with_claim(
    core: &Core,
    mut group: Vec<PendingInsert>,
    claimant: usize,
) -> std::result::Result<(), Vec<PendingInsert>> {
    let InsertRequest { now, claim, .. } = &group[claimant].request;
    let (now, Some(claim)) = (*now, claim.clone()) else { return Err(group) };
    let (counts, batches) = take_batches(&mut group);
    match insert_with_claim(core, now, &batches, &claim).await {
        Some(reply) => {
            answer(group, &counts, reply, Some(claimant));
            Ok(())
        }
        None => {
            let mut batches = batches.into_iter();
            for (waiting, count) in group.iter_mut().zip(counts) {
                waiting.request.batches = batches.by_ref().take(count).collect();
            }
            Err(group)
        }
    }
}

/// The batches of all requests, and the number of batches per request.
fn take_batches(group: &mut [PendingInsert]) -> (Vec<usize>, Vec<Vec<JobSpec>>) {
    let counts = group.iter().map(|waiting| waiting.request.batches.len()).collect();
    let batches = group.iter_mut().flat_map(|waiting| std::mem::take(&mut waiting.request.batches));
    (counts, batches.collect())
}

fn answer(group: Vec<PendingInsert>, counts: &[usize], reply: InsertReply, claimant: Option<usize>) {
    let (mut results, mut claim) = (reply.batches.into_iter(), reply.claim);
    for (index, (waiting, &count)) in group.into_iter().zip(counts).enumerate() {
        let claim = if Some(index) == claimant { claim.take() } else { None };
        let results = results.by_ref().take(count).collect();
        // The enqueuer may have been dropped.
        let _ = waiting.reply.send(InsertReply::new(results).claim(claim));
    }
}

/// The request whose claim the group makes: the first one with a claim, if the group is small. Its
/// worker waits for the whole group, and in a large group one saved commit matters little.
fn claimant(group: &[PendingInsert]) -> Option<usize> {
    let (jobs, bytes) = group
        .iter()
        .map(PendingInsert::size)
        .fold((0, 0), |(jobs, bytes), (more_jobs, more_bytes)| (jobs + more_jobs, bytes + more_bytes));
    let is_small = group.len() == 1 || jobs <= MAX_JOBS_WITH_CLAIM && bytes <= MAX_BYTES_WITH_CLAIM;
    group.iter().position(|waiting| waiting.request.claim.is_some()).filter(|_| is_small)
}
