//! One backend that a worker serves: what its loops share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};

use crate::backend::{ClaimedJob, Settlement, Verdict};
use crate::poison::ignore_poison;
use crate::queue::Registration;
use crate::runtime::environment::later;
use crate::runtime::loops::settle::{Inbox, Unsettled};
use crate::{Backend, JobQueue, Kind, Limits, QueueName, Token, WorkerId};

/// Something that a loop tells the claim loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nudge {
    /// A waiting job is due after this long.
    DueIn(Duration),
    /// Anything may be anywhere.
    LookEverywhere,
}

/// One backend with the handlers that are registered for it.
pub(crate) struct Station {
    pub(crate) index: usize,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) limits: Limits,
    pub(crate) registrations: HashMap<Kind, Arc<Registration>>,
    pub(crate) kinds: Arc<[Kind]>,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) inbox: Inbox,
    /// A slot became free, or the buffer has room.
    pub(crate) room: Notify,
    /// Leave the heartbeat's rhythm: the worker was found lost.
    pub(crate) lost: Notify,
    /// This worker's own heartbeats come in time, so that it may judge others.
    pub(crate) may_rescue: AtomicBool,
    lease_grace: Duration,
    settles_fail: AtomicBool,
    claiming: AtomicBool,
    identity: watch::Sender<Option<WorkerId>>,
    nudge: mpsc::UnboundedSender<Nudge>,
    nudges: Mutex<Option<mpsc::UnboundedReceiver<Nudge>>>,
}

impl Station {
    pub(crate) fn new(
        index: usize,
        queue: &JobQueue,
        queues: Option<&[QueueName]>,
        lease_grace: Duration,
    ) -> Self {
        let registrations = queue.registrations();
        let queues = queues.map_or_else(|| queues_of(&registrations), <[QueueName]>::to_vec);
        let (nudge, nudges) = mpsc::unbounded_channel();
        Self {
            index,
            backend: Arc::clone(queue.backend()),
            limits: queue.limits().clone(),
            kinds: queue.kinds().into(),
            registrations,
            queues,
            inbox: Inbox::default(),
            room: Notify::new(),
            lost: Notify::new(),
            may_rescue: AtomicBool::new(false),
            lease_grace,
            settles_fail: AtomicBool::new(false),
            claiming: AtomicBool::new(false),
            identity: watch::Sender::new(None),
            nudge,
            nudges: Mutex::new(Some(nudges)),
        }
    }

    /// Gives back leases whose jobs did not start.
    pub(crate) fn release(&self, jobs: Vec<ClaimedJob>, now: Instant) {
        for job in jobs {
            self.settle(job.token, Verdict::Release, self.lease_end(&job, now));
        }
    }

    /// Has a lease ended; `lease_end` is when it ends by itself.
    pub(crate) fn settle(&self, token: Token, verdict: Verdict, lease_end: Instant) {
        self.inbox.push(Unsettled::new(Settlement::new(token, verdict), lease_end));
    }

    /// When the lease of a job that was claimed, or was started, at about `since` is past its deadline.
    pub(crate) fn lease_end(&self, job: &ClaimedJob, since: Instant) -> Instant {
        later(later(since, job.timeout), self.lease_grace)
    }

    /// The storage refuses to settle: nothing more is claimed until it settles again.
    pub(crate) fn begin_settle_outage(&self) {
        self.settles_fail.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end_settle_outage(&self) {
        if self.settles_fail.swap(false, Ordering::SeqCst) {
            self.room.notify_one();
        }
    }

    pub(crate) fn may_claim(&self) -> bool {
        !self.settles_fail.load(Ordering::SeqCst)
    }

    /// Whether a claim is under way, whose leases nobody knows yet.
    pub(crate) fn is_claiming(&self) -> bool {
        self.claiming.load(Ordering::SeqCst)
    }

    pub(crate) fn begin_claim(&self) {
        self.claiming.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end_claim(&self) {
        self.claiming.store(false, Ordering::SeqCst);
    }

    /// The worker's id on this backend, while it is registered.
    pub(crate) fn identity(&self) -> Option<WorkerId> {
        *self.identity.borrow()
    }

    pub(crate) fn set_identity(&self, worker: Option<WorkerId>) {
        self.identity.send_replace(worker);
        self.room.notify_one();
    }

    /// Waits until the worker is registered.
    pub(crate) async fn registered(&self) -> WorkerId {
        let mut identity = self.identity.subscribe();
        loop {
            if let Some(worker) = *identity.borrow_and_update() {
                return worker;
            }
            // Cannot fail: the sender lives as long as `self`.
            let _ = identity.changed().await;
        }
    }

    pub(crate) fn nudge(&self, nudge: Nudge) {
        // Nobody listens once the claim loop has ended.
        let _ = self.nudge.send(nudge);
    }

    /// The receiver of nudges, for the one claim loop.
    pub(crate) fn nudges(&self) -> Option<mpsc::UnboundedReceiver<Nudge>> {
        ignore_poison(self.nudges.lock()).take()
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station").field("backend", &self.backend).field("kinds", &self.kinds).finish()
    }
}

/// The default queue, and each that a registration names.
fn queues_of(registrations: &HashMap<Kind, Arc<Registration>>) -> Vec<QueueName> {
    let named = registrations.values().filter_map(|registration| registration.options.queue.clone());
    let mut queues: Vec<QueueName> = named.chain([QueueName::default()]).collect();
    queues.sort();
    queues.dedup();
    queues
}
