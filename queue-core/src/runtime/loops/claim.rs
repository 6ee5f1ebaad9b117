//! The claim loop of one backend: plans, claims, hands jobs to the slots, and waits for a signal.

mod parked;
mod reply;

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use self::parked::ParkedPlans;
use crate::backend::{ClaimRequest, ReadyQueuesRequest, WakeReceiver, Wakes};
use crate::metrics::Operation;
use crate::runtime::decide::deadline::later;
use crate::runtime::decide::planner::{ClaimPlan, Planner, PlannerStep};
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::claim_signals::PlanChange;
use crate::runtime::shared::served_backend::ServedBackend;
use crate::runtime::shared::worker_state::WorkerState;
use crate::{ClaimId, QueueName, WorkerId};

/// Claims until the worker shuts down. Ends only once the reply to each claim is known.
pub(crate) async fn serve(worker: Arc<WorkerState>, backend: Arc<ServedBackend>) {
    let Some(changes) = backend.claims.take_receiver() else { return };
    let wakes = backend.backend.subscribe().only_jobs();
    let planner = Planner::new(backend.queues.clone(), worker.settings.clone(), worker.now());
    let outage = Outage::new(&worker, "claim");
    ClaimLoop { worker: &worker, backend: &backend, planner, wakes, changes, outage }.run().await;
}

struct ClaimLoop<'a> {
    worker: &'a Arc<WorkerState>,
    backend: &'a Arc<ServedBackend>,
    planner: Planner,
    wakes: WakeReceiver,
    changes: UnboundedReceiver<PlanChange>,
    outage: Outage<'a>,
}

/// A claim as it was sent.
struct SentClaim {
    worker: WorkerId,
    claim: ClaimId,
    limit: usize,
    last_attempts: usize,
}

impl ClaimLoop<'_> {
    async fn run(mut self) {
        while !self.worker.stop.claims.is_cancelled() {
            let wakes = self.wakes.take();
            self.take_in(&wakes);
            let Some(id) = self.backend.membership.id() else {
                self.wait_for_registration().await;
                continue;
            };
            // Before the room is read: otherwise a slot that becomes free in between is missed.
            self.worker.slots.want_room();
            let may_claim = self.backend.claims.may_claim();
            let room = if may_claim { self.worker.slots.room(self.planner.urgent()) } else { 0 };
            let idle = if may_claim { self.worker.slots.free() } else { 0 };
            let step = if room > 0 { self.planner.next_step(self.worker.now(), idle) } else { None };
            match step {
                Some(PlannerStep::Claim(plan)) => self.claim(id, &plan, room, idle).await,
                Some(PlannerStep::Look(queues)) => self.look(queues).await,
                None => self.wait(id, room > 0, idle).await,
            }
        }
    }

    async fn wait_for_registration(&self) {
        tokio::select! {
            biased;
            () = self.worker.stop.claims.cancelled() => {}
            _ = self.backend.membership.registered() => {}
        }
    }

    /// Waits for a wake-up, for room, or for the time of the next claim. While a slot is idle,
    /// claims are parked at the backend.
    async fn wait(&mut self, id: WorkerId, has_room: bool, idle: usize) {
        let now = self.worker.now();
        let latest = later(now, self.worker.settings.poll_interval);
        let next = if has_room { self.planner.next_time(now, idle) } else { latest };
        let timer = self.worker.environment.sleep(next.saturating_duration_since(now));
        let mut parked = if idle > 0 { self.park(id) } else { None };
        let (mut answer, mut wakes, mut change) = (None, None, None);
        tokio::select! {
            biased;
            made = ParkedPlans::answered(&mut parked) => answer = made,
            woken = self.wakes.recv() => wakes = Some(woken),
            () = self.backend.claims.must_check_again() => {}
            Some(changed) = self.changes.recv() => change = Some(changed),
            () = timer => {}
            () = self.worker.stop.claims.cancelled() => {}
        }
        if let Some(parked) = parked {
            self.withdraw(parked, answer).await;
        }
        // After the parked claim: otherwise its reply would hide what these announce.
        if let Some(wakes) = wakes {
            self.take_in(&wakes);
        }
        if let Some(change) = change {
            self.change_plan(change);
        }
    }

    fn take_in(&mut self, wakes: &Wakes) {
        self.planner.wake(wakes, self.worker.now());
        for &id in &wakes.cancels {
            self.worker.cancel(self.backend, id);
        }
        while let Ok(change) = self.changes.try_recv() {
            self.change_plan(change);
        }
    }

    fn change_plan(&mut self, change: PlanChange) {
        match change {
            PlanChange::DueIn(wait) => self.planner.due_in(wait, self.worker.now()),
            PlanChange::LookEverywhere => self.planner.look_everywhere(self.worker.now()),
        }
    }

    async fn claim(&mut self, id: WorkerId, plan: &ClaimPlan, room: usize, idle: usize) {
        let claim = match ClaimId::generate() {
            Ok(claim) => claim,
            Err(error) => return self.failed(plan, &error).await,
        };
        let (limit, last_attempts) = (room, idle.min(room));
        let sent = SentClaim { worker: id, claim, limit, last_attempts };
        self.backend.claims.begin_claim();
        let sent_at = self.worker.now();
        let reply = self.backend.backend.claim(self.request(plan, &sent)).await;
        let took = self.worker.now().saturating_duration_since(sent_at);
        self.backend.events.metrics().answered(Operation::Claim, took, &reply);
        self.take_reply(plan, &sent, reply).await;
        self.backend.claims.end_claim();
    }

    fn request(&self, plan: &ClaimPlan, sent: &SentClaim) -> ClaimRequest {
        let kinds = Arc::clone(&self.backend.kinds);
        let limit = saturating_u32(sent.limit);
        let mut request = ClaimRequest::new(sent.worker, sent.claim, plan.queue.clone(), kinds, limit);
        request.last_attempts = saturating_u32(sent.last_attempts);
        request.grace = self.worker.settings.lease_grace;
        request
    }

    /// Asks which of many queues have anything.
    async fn look(&mut self, queues: Vec<QueueName>) {
        let request = ReadyQueuesRequest::new(queues.clone(), Arc::clone(&self.backend.kinds));
        match self.backend.backend.ready_queues(request).await {
            Ok(reply) => {
                self.outage.succeeded();
                self.planner.looked(&queues, &reply, self.worker.now());
            }
            Err(error) => {
                self.outage.failed(&error);
                self.pause().await;
            }
        }
    }

    /// Waits before the next try after a failure, unless the worker stops.
    async fn pause(&mut self) {
        let stop = &self.worker.stop.claims;
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.outage.wait() => {}
        }
    }
}

fn saturating_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
