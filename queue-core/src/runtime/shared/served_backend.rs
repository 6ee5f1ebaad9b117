//! One backend that a worker serves, with the state that its loops share.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{ClaimedJob, Settlement, Verdict};
use crate::context::WorkerContext;
use crate::events::EventBus;
use crate::job_queue::Registrations;
use crate::parked::ParkedClaims;
use crate::runtime::decide::deadline::later;
use crate::runtime::decide::settlement::PendingSettlement;
use crate::runtime::shared::claim_signals::ClaimSignals;
use crate::runtime::shared::membership::Membership;
use crate::runtime::shared::settlement_queue::SettlementQueue;
#[cfg(feature = "schedules")]
use crate::schedule::Declared;
use crate::{Backend, JobQueue, Kind, Limits, QueueName, WorkerId};

/// One backend with the handlers that are registered for it.
pub(crate) struct ServedBackend {
    /// Its place in [`WorkerState::backends`](super::worker_state::WorkerState::backends).
    pub(crate) index: usize,
    /// What its jobs share.
    pub(crate) context: Arc<WorkerContext>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) limits: Limits,
    pub(crate) events: EventBus,
    /// The claims that the queue sends with its inserts while the worker is idle.
    pub(crate) parked: ParkedClaims,
    pub(crate) registrations: Registrations,
    pub(crate) kinds: Arc<[Kind]>,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) membership: Membership,
    pub(crate) claims: ClaimSignals,
    pub(crate) settlements: SettlementQueue,
    /// The schedules of the program, if they are stored here.
    #[cfg(feature = "schedules")]
    pub(crate) declared: Declared,
    lease_grace: Duration,
}

impl ServedBackend {
    /// Serves these queues, or those that the registrations name.
    pub(crate) fn new(
        index: usize,
        jobs: &JobQueue,
        context: WorkerContext,
        registrations: Registrations,
        queues: Option<&[QueueName]>,
        lease_grace: Duration,
    ) -> Self {
        let mut kinds: Vec<Kind> = registrations.keys().cloned().collect();
        kinds.sort();
        let queues = queues.map_or_else(|| queues_of(&registrations), <[QueueName]>::to_vec);
        Self {
            index,
            backend: Arc::clone(jobs.backend()),
            limits: jobs.limits().clone(),
            events: jobs.event_bus().clone(),
            parked: jobs.parked().clone(),
            context: Arc::new(context),
            kinds: kinds.into(),
            registrations,
            queues,
            membership: Membership::new(),
            claims: ClaimSignals::new(),
            settlements: SettlementQueue::default(),
            #[cfg(feature = "schedules")]
            declared: Declared::default(),
            lease_grace,
        }
    }

    /// Stores these schedules when the worker starts.
    #[cfg(feature = "schedules")]
    pub(crate) fn declare(self, declared: Declared) -> Self {
        Self { declared, ..self }
    }

    /// Changes the id that the worker has on this backend. The claim loop checks again whether it
    /// may claim.
    pub(crate) fn set_worker_id(&self, id: Option<WorkerId>) {
        self.membership.set_id(id);
        self.claims.check_again();
    }

    /// Queues a settlement. `lease_end` is the deadline of the lease.
    pub(crate) fn settle(&self, settlement: Settlement, lease_end: Instant) {
        self.settlements.push(PendingSettlement::new(settlement, lease_end));
    }

    /// Releases the leases of jobs that did not start.
    pub(crate) fn release(&self, jobs: Vec<ClaimedJob>, now: Instant) {
        for job in jobs {
            self.settle(Settlement::new(job.token, Verdict::Release), self.lease_end(&job, now));
        }
    }

    /// The deadline of a job's lease, by this worker's clock, if it was claimed or started at about
    /// `since`.
    pub(crate) fn lease_end(&self, job: &ClaimedJob, since: Instant) -> Instant {
        later(later(since, job.timeout), self.lease_grace)
    }
}

impl fmt::Debug for ServedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ServedBackend");
        text.field("backend", &self.backend).field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// The default queue, and each that a registration names.
fn queues_of(registrations: &Registrations) -> Vec<QueueName> {
    let named = registrations.values().filter_map(|registration| registration.options.queue.clone());
    let mut queues: Vec<QueueName> = named.chain([QueueName::default()]).collect();
    queues.sort();
    queues.dedup();
    queues
}
