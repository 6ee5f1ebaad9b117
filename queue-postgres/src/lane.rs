//! The lane of inserts: what arrives while a commit is under way waits together for the next.

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

/// Groups that are written at the same time: while one waits for the disk another is prepared.
const GROUPS_UNDER_WAY: usize = 2;

/// A group is closed when it has this many jobs; a batch is never divided.
const GROUP_JOBS: usize = 5000;

/// A group is closed when its payloads have this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// A group of several requests makes a claim if it has at most this many jobs.
const JOBS_WITH_CLAIM: usize = 100;

/// A group of several requests makes a claim if its payloads have at most this many bytes.
const BYTES_WITH_CLAIM: usize = 1 << 20;

/// The entrance.
#[derive(Debug, Clone)]
pub(crate) struct Lane(UnboundedSender<Waiting>);

#[derive(Debug)]
struct Waiting {
    request: InsertRequest,
    reply: oneshot::Sender<InsertReply>,
}

impl Waiting {
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

impl Lane {
    /// A lane, and what serves it.
    pub(crate) fn new(core: Arc<Core>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), serve(core, receiver))
    }

    /// Waits in line.
    pub(crate) async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        let (reply, answer) = oneshot::channel();
        let closed = |_| Error::new(ErrorKind::Unavailable, "enqueue jobs", "the database was closed");
        self.0.send(Waiting { request, reply }).map_err(|error| closed(error.to_string()))?;
        // A group whose task ended without an answer may have been committed.
        answer.await.map_err(|error| {
            Error::new(ErrorKind::UnknownOutcome, "enqueue jobs", "the database was closed")
                .with_source(error)
        })
    }
}

async fn serve(core: Arc<Core>, arrivals: UnboundedReceiver<Waiting>) {
    let under_way = Arc::new(Semaphore::new(GROUPS_UNDER_WAY));
    let mut line = Line { waiting: VecDeque::new(), arrivals };
    while line.wait_for_one().await {
        // The group is gathered only after this: what arrives meanwhile joins it.
        let permit = match Arc::clone(&under_way).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match line.decline_claims_until(Arc::clone(&under_way).acquire_owned()).await {
                Ok(permit) => permit,
                Err(_) => return,
            },
        };
        let group = line.gather();
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            write(&core, group).await;
            drop(permit);
        });
    }
    let all = u32::try_from(GROUPS_UNDER_WAY).unwrap_or(u32::MAX);
    // Cannot fail: nobody closes it.
    let _ = under_way.acquire_many(all).await;
}

/// The requests that are in no group yet, in their order.
struct Line {
    waiting: VecDeque<Waiting>,
    arrivals: UnboundedReceiver<Waiting>,
}

impl Line {
    /// Whether there will be another one: `false` once all handles are gone.
    async fn wait_for_one(&mut self) -> bool {
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

    fn next(&mut self) -> Option<Waiting> {
        self.waiting.pop_front().or_else(|| self.arrivals.try_recv().ok())
    }

    /// The requests that wait, up to the limits.
    fn gather(&mut self) -> Vec<Waiting> {
        let (mut group, mut jobs, mut bytes) = (Vec::<Waiting>::new(), 0, 0);
        while jobs < GROUP_JOBS && bytes < GROUP_BYTES {
            let Some(next) = self.next() else { break };
            let (more_jobs, more_bytes) = next.size();
            (jobs, bytes) = (jobs + more_jobs, bytes + more_bytes);
            // One call has one time.
            let fits = jobs <= GROUP_JOBS && bytes <= GROUP_BYTES;
            if group.first().is_some_and(|first| first.request.now != next.request.now || !fits) {
                self.waiting.push_front(next);
                break;
            }
            group.push(next);
        }
        group
    }
}

async fn write(core: &Core, mut group: Vec<Waiting>) {
    if let Some(claimant) = claimant(&group) {
        match write_with_claim(core, group, claimant).await {
            Ok(()) => return,
            Err(declined) => group = declined,
        }
    }
    // Those with claims first, because their workers wait.
    let mut group: Vec<Waiting> = group.into_iter().filter_map(Waiting::without_claim).collect();
    let now = group.first().and_then(|first| first.request.now);
    let (counts, batches) = take_batches(&mut group);
    let fates = insert(core, now, &batches).await;
    answer(group, &counts, InsertReply::new(fates), None);
}

/// Gives the group back, as it was, if the claim of this request cannot be made at once.
async fn write_with_claim(
    core: &Core,
    mut group: Vec<Waiting>,
    claimant: usize,
) -> std::result::Result<(), Vec<Waiting>> {
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

/// The batches of all requests, and how many each has.
fn take_batches(group: &mut [Waiting]) -> (Vec<usize>, Vec<Vec<JobSpec>>) {
    let counts = group.iter().map(|waiting| waiting.request.batches.len()).collect();
    let batches = group.iter_mut().flat_map(|waiting| std::mem::take(&mut waiting.request.batches));
    (counts, batches.collect())
}

fn answer(group: Vec<Waiting>, counts: &[usize], reply: InsertReply, claimant: Option<usize>) {
    let (mut fates, mut claim) = (reply.batches.into_iter(), reply.claim);
    for (index, (waiting, &count)) in group.into_iter().zip(counts).enumerate() {
        let claim = if Some(index) == claimant { claim.take() } else { None };
        let fates = fates.by_ref().take(count).collect();
        // The enqueuer may have been dropped.
        let _ = waiting.reply.send(InsertReply::new(fates).claim(claim));
    }
}

/// The request whose claim the group makes: the first with a claim, if the group is small. Its
/// worker waits for the whole group, and a saved commit is worth little beside many jobs.
fn claimant(group: &[Waiting]) -> Option<usize> {
    let (jobs, bytes) = group
        .iter()
        .map(Waiting::size)
        .fold((0, 0), |(jobs, bytes), (more_jobs, more_bytes)| (jobs + more_jobs, bytes + more_bytes));
    let is_small = group.len() == 1 || jobs <= JOBS_WITH_CLAIM && bytes <= BYTES_WITH_CLAIM;
    group.iter().position(|waiting| waiting.request.claim.is_some()).filter(|_| is_small)
}
