//! The claim loop of one backend: decides, claims, hands over, and waits for a reason to go on.

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::backend::{
    Answer, BatchSize, ClaimReply, ClaimRequest, ClaimedJob, LeasesRequest, ParkedClaim, ReadyQueuesRequest,
    Room, WakeReceiver, Wakes,
};
use crate::runtime::decide::planner::{Brought, More, Plan, Planner, Step};
use crate::runtime::environment::later;
use crate::runtime::loops::outage::Outage;
use crate::runtime::shared::served_backend::{Nudge, Station};
use crate::runtime::shared::worker_state::Engine;
use crate::{ClaimId, Error, ErrorKind, QueueName, Result, WorkerId};

/// Claims until the worker shuts down; leaves no claim behind whose reply it does not know.
pub(crate) async fn serve(engine: Arc<Engine>, station: Arc<Station>) {
    let Some(nudges) = station.nudges() else { return };
    let wakes = station.backend.subscribe();
    let planner = Planner::new(station.queues.clone(), engine.settings.clone(), engine.now());
    let outage = Outage::new(&engine, "claim jobs");
    ClaimLoop { engine: &engine, station: &station, planner, wakes, nudges, outage }.run().await;
}

struct ClaimLoop<'a> {
    engine: &'a Arc<Engine>,
    station: &'a Arc<Station>,
    planner: Planner,
    wakes: WakeReceiver,
    nudges: UnboundedReceiver<Nudge>,
    outage: Outage<'a>,
}

/// A claim as it was sent.
struct Sent {
    worker: WorkerId,
    claim: ClaimId,
    limit: usize,
    last_attempts: usize,
    at: Instant,
}

/// A claim that was left at the backend.
struct Parked {
    /// One for each queue.
    plans: Vec<Plan>,
    claim: ParkedClaim,
}

impl Parked {
    /// Waits for its answer, for ever if there is none.
    async fn answered(parked: &mut Option<Self>) -> Option<Answer> {
        match parked {
            Some(parked) => parked.claim.answered().await,
            None => pending().await,
        }
    }
}

impl ClaimLoop<'_> {
    async fn run(mut self) {
        while !self.engine.stop_claims.is_cancelled() {
            let wakes = self.wakes.take();
            self.take_in(&wakes);
            let Some(worker) = self.station.identity() else {
                self.wait_for_registration().await;
                continue;
            };
            // Before the room is looked at, so that what becomes free meanwhile is not missed.
            self.engine.await_room();
            let may_claim = self.station.may_claim();
            let room = if may_claim { self.engine.room(self.planner.urgent()) } else { 0 };
            let idle = if may_claim { self.engine.free_slots() } else { 0 };
            let step = if room > 0 { self.planner.next_step(self.engine.now(), idle) } else { None };
            match step {
                Some(Step::Claim(plan)) => self.claim(worker, &plan, room, idle).await,
                Some(Step::Look(queues)) => self.look(queues).await,
                None => self.wait(worker, room > 0, idle).await,
            }
        }
    }

    async fn wait_for_registration(&self) {
        tokio::select! {
            biased;
            () = self.engine.stop_claims.cancelled() => {}
            _ = self.station.registered() => {}
        }
    }

    /// Waits for a wake-up, for room, or for the next time to look. While slots are idle, a claim is parked.
    async fn wait(&mut self, worker: WorkerId, has_room: bool, idle: usize) {
        let now = self.engine.now();
        let latest = later(now, self.engine.settings.head_interval);
        let next = if has_room { self.planner.next_time(now, idle) } else { latest };
        let timer = self.engine.environment.sleep(next.saturating_duration_since(now));
        let mut parked = if idle > 0 { self.park(worker) } else { None };
        let (mut answer, mut wakes, mut nudge) = (None, None, None);
        tokio::select! {
            biased;
            made = Parked::answered(&mut parked) => answer = made,
            woken = self.wakes.recv() => wakes = Some(woken),
            () = self.station.room.notified() => {}
            Some(nudged) = self.nudges.recv() => nudge = Some(nudged),
            () = timer => {}
            () = self.engine.stop_claims.cancelled() => {}
        }
        if let Some(Parked { plans, claim }) = parked {
            if answer.is_none() {
                answer = claim.withdraw().await;
            }
            if let Some(answer) = answer {
                self.answered(&plans, answer).await;
            }
            self.station.end_claim();
        }
        // Only now: what the claim reached must not hide what was told of meanwhile.
        if let Some(wakes) = wakes {
            self.take_in(&wakes);
        }
        if let Some(nudge) = nudge {
            self.take_nudge(nudge);
        }
    }

    /// Leaves a claim for what is entered through this handle, where the backend takes one.
    fn park(&self, worker: WorkerId) -> Option<Parked> {
        let settings = &self.engine.settings;
        let most = BatchSize { jobs: settings.parked_batch, bytes: settings.parked_batch_bytes };
        if most.jobs == 0 {
            return None;
        }
        let parking = self.station.backend.parking()?;
        let plans = self.planner.parked();
        let (engine, station) = (Arc::clone(self.engine), Arc::clone(self.station));
        let room = move || {
            let is_ours = station.identity() == Some(worker) && !engine.stop_claims.is_cancelled();
            let idle = if is_ours && station.may_claim() { engine.free_slots() } else { 0 };
            let limit = if idle > 0 { engine.room(None) } else { 0 };
            if limit > 0 {
                station.begin_claim();
            }
            Room { limit: saturating_u32(limit), last_attempts: saturating_u32(idle.min(limit)) }
        };
        let claim = ClaimId::generate().ok()?;
        let sent =
            Sent { worker, claim, limit: usize::MAX, last_attempts: usize::MAX, at: self.engine.now() };
        let requests = plans.iter().map(|plan| self.request(plan, &sent)).collect();
        Some(Parked { plans, claim: parking.park(requests, most, room) })
    }

    async fn answered(&mut self, plans: &[Plan], answer: Answer) {
        let Answer { request, reply, .. } = answer;
        let Some(plan) = plans.iter().find(|plan| plan.queue == request.queue) else { return };
        let size = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let sent = Sent {
            worker: request.worker,
            claim: request.claim,
            limit: size(request.limit),
            last_attempts: size(request.last_attempts),
            at: self.engine.now(),
        };
        self.take_reply(plan, &sent, reply).await;
    }

    fn take_in(&mut self, wakes: &Wakes) {
        self.planner.wake(wakes, self.engine.now());
        for &id in &wakes.cancels {
            self.engine.cancel(self.station, id);
        }
        while let Ok(nudge) = self.nudges.try_recv() {
            self.take_nudge(nudge);
        }
    }

    fn take_nudge(&mut self, nudge: Nudge) {
        let now = self.engine.now();
        match nudge {
            Nudge::DueIn(wait) => self.planner.due_in(wait, now),
            Nudge::LookEverywhere => self.planner.look_everywhere(now),
        }
    }

    async fn claim(&mut self, worker: WorkerId, plan: &Plan, room: usize, idle: usize) {
        let claim = match ClaimId::generate() {
            Ok(claim) => claim,
            Err(error) => return self.failed(plan, &error).await,
        };
        let sent = Sent { worker, claim, limit: room, last_attempts: idle.min(room), at: self.engine.now() };
        self.station.begin_claim();
        let reply = self.station.backend.claim(self.request(plan, &sent)).await;
        self.take_reply(plan, &sent, reply).await;
        self.station.end_claim();
    }

    /// Asks which of many queues have anything.
    async fn look(&mut self, queues: Vec<QueueName>) {
        let started = self.engine.now();
        let request = ReadyQueuesRequest::new(queues.clone(), Arc::clone(&self.station.kinds));
        match self.station.backend.ready_queues(request).await {
            Ok(reply) => {
                self.outage.over();
                self.planner.looked(&queues, &reply, started, self.engine.now());
            }
            Err(error) => {
                self.outage.report(&error);
                self.pause().await;
            }
        }
    }

    async fn take_reply(&mut self, plan: &Plan, sent: &Sent, reply: Result<ClaimReply>) {
        match reply {
            Ok(reply) => self.claimed(plan, sent, reply),
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => self.adopt(plan, sent, error).await,
            Err(error) if error.kind() == ErrorKind::WorkerLost => self.lost(plan, sent.worker),
            Err(error) => self.failed(plan, &error).await,
        }
    }

    fn request(&self, plan: &Plan, sent: &Sent) -> ClaimRequest {
        let kinds = Arc::clone(&self.station.kinds);
        let limit = saturating_u32(sent.limit);
        let mut request = ClaimRequest::new(sent.worker, sent.claim, plan.queue.clone(), kinds, limit);
        request.last_attempts = saturating_u32(sent.last_attempts);
        request.grace = self.engine.settings.lease_grace;
        request.cursor.clone_from(&plan.cursor);
        request
    }

    fn claimed(&mut self, plan: &Plan, sent: &Sent, reply: ClaimReply) {
        self.outage.over();
        let jobs = reply.jobs.len();
        let last = reply.jobs.iter().filter(|job| job.is_last_attempt()).count();
        let more = if jobs >= sent.limit {
            More::Yes
        } else if last >= sent.last_attempts {
            More::WhenSlotFree
        } else {
            More::No
        };
        let brought = Brought { jobs, more, cursor: reply.cursor, next_due: reply.next_due };
        self.planner.claimed(plan, brought, sent.at, self.engine.now());
        self.hand_over(sent.worker, reply.jobs);
    }

    /// What comes too late, for a worker that was renewed or shuts down, is given back.
    fn hand_over(&self, worker: WorkerId, jobs: Vec<ClaimedJob>) {
        if self.station.identity() == Some(worker) && !self.engine.stop_claims.is_cancelled() {
            self.engine.offer(self.station, jobs);
        } else {
            self.station.release(jobs, self.engine.now());
        }
    }

    /// The heartbeat loop registers anew; until then there is nothing to claim as. Unless it has: then
    /// the loss is an old one.
    fn lost(&mut self, plan: &Plan, worker: WorkerId) {
        self.planner.failed(plan, self.engine.now());
        if self.station.identity() == Some(worker) {
            self.station.set_identity(None);
            self.station.lost.notify_one();
        }
    }

    async fn failed(&mut self, plan: &Plan, error: &Error) {
        self.planner.failed(plan, self.engine.now());
        self.outage.report(error);
        self.pause().await;
    }

    async fn pause(&mut self) {
        let stopped = self.engine.stop_claims.clone();
        tokio::select! {
            biased;
            () = stopped.cancelled() => {}
            () = self.outage.wait() => {}
        }
    }

    /// The claim may have happened: claims nothing new before it is known what it took. A shutdown
    /// waits for that too, as long as the storage answers.
    async fn adopt(&mut self, plan: &Plan, sent: &Sent, mut error: Error) {
        self.planner.failed(plan, self.engine.now());
        loop {
            self.outage.report(&error);
            self.pause().await;
            let request = LeasesRequest::new(sent.worker, sent.claim);
            match self.station.backend.leases(request).await {
                Ok(jobs) => {
                    self.outage.over();
                    tracing::info!(jobs = jobs.len(), "adopted the jobs of a claim whose reply was lost");
                    return self.hand_over(sent.worker, jobs);
                }
                Err(next) if !next.is_final() && !self.engine.stop_claims.is_cancelled() => error = next,
                // What it took is found at the worker's expiry.
                Err(next) => return self.outage.report(&next),
            }
        }
    }
}

fn saturating_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
