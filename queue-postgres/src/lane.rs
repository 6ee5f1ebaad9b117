//! The lane of inserts: what arrives while a commit is under way waits together for the next.

use std::sync::Arc;

use queue_core::backend::InsertRequest;
use queue_core::{Error, ErrorKind, JobSpec, Result, Submitted, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use crate::columns;
use crate::core::Core;
use crate::insert::insert;

/// Groups that are written at the same time: while one waits for the disk another is prepared.
const GROUPS_UNDER_WAY: usize = 2;

/// A group is closed when it has this many jobs; a batch is never divided.
const GROUP_JOBS: usize = 5000;

/// A group is closed when its payloads have this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// The fate of each batch of a request.
type Fates = Vec<Result<Vec<Submitted>>>;

/// The entrance.
#[derive(Debug, Clone)]
pub(crate) struct Lane(UnboundedSender<Waiting>);

#[derive(Debug)]
struct Waiting {
    request: InsertRequest,
    reply: oneshot::Sender<Fates>,
}

impl Waiting {
    fn size(&self) -> (usize, usize) {
        let jobs = self.request.batches.iter().flatten();
        jobs.fold((0, 0), |(jobs, bytes), job| (jobs + 1, bytes + columns::bytes(job)))
    }
}

impl Lane {
    /// A lane, and what serves it.
    pub(crate) fn new(core: Arc<Core>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), serve(core, receiver))
    }

    /// Waits in line.
    pub(crate) async fn insert(&self, request: InsertRequest) -> Result<Fates> {
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

async fn serve(core: Arc<Core>, mut arrivals: UnboundedReceiver<Waiting>) {
    let under_way = Arc::new(Semaphore::new(GROUPS_UNDER_WAY));
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match arrivals.recv().await {
                Some(first) => first,
                // All handles are gone.
                None => break,
            },
        };
        // Only now: what arrives during the wait joins the group.
        let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { return };
        let group;
        (group, next) = gather(first, &mut arrivals);
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

/// The requests that wait, up to the limits; and the first that does not fit.
fn gather(first: Waiting, arrivals: &mut UnboundedReceiver<Waiting>) -> (Vec<Waiting>, Option<Waiting>) {
    let now = first.request.now;
    let (mut jobs, mut bytes) = first.size();
    let mut group = vec![first];
    while jobs < GROUP_JOBS && bytes < GROUP_BYTES {
        let Ok(next) = arrivals.try_recv() else { break };
        let (more_jobs, more_bytes) = next.size();
        (jobs, bytes) = (jobs + more_jobs, bytes + more_bytes);
        // One call has one time.
        if next.request.now != now || jobs > GROUP_JOBS || bytes > GROUP_BYTES {
            return (group, Some(next));
        }
        group.push(next);
    }
    (group, None)
}

async fn write(core: &Core, group: Vec<Waiting>) {
    let now: Option<Timestamp> = group.first().and_then(|first| first.request.now);
    let (replies, batches): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|waiting| ((waiting.reply, waiting.request.batches.len()), waiting.request.batches))
        .unzip();
    let batches: Vec<Vec<JobSpec>> = batches.into_iter().flatten().collect();
    let mut fates = insert(core, now, &batches).await.into_iter();
    for (reply, many) in replies {
        // Whoever asked may have lost patience.
        let _ = reply.send(fates.by_ref().take(many).collect());
    }
}
