//! Claims that an idle worker parks at its queue, to be made with the next insert.

use std::future::pending;
use std::sync::Arc;

use super::{ClaimLoop, SentClaim, saturating_u32};
use crate::parked::{Answer, BatchSize, ParkedClaim, Room};
use crate::runtime::decide::planner::ClaimPlan;
use crate::{ClaimId, WorkerId};

/// A parked claim, with one plan per queue.
pub(super) struct ParkedPlans {
    plans: Vec<ClaimPlan>,
    claim: ParkedClaim,
}

impl ParkedPlans {
    /// Waits until an insert has made the claim; for ever if none is parked.
    pub(super) async fn answered(parked: &mut Option<Self>) -> Option<Answer> {
        match parked {
            Some(parked) => parked.claim.answered().await,
            None => pending().await,
        }
    }
}

impl ClaimLoop<'_> {
    /// Parks one claim per queue for inserts on the served queue, if the backend can make them.
    pub(super) fn park(&self, id: WorkerId) -> Option<ParkedPlans> {
        let settings = &self.worker.settings;
        let most = BatchSize { jobs: settings.parked_batch, bytes: settings.parked_batch_bytes };
        if most.jobs == 0 {
            return None;
        }
        if !self.backend.backend.capabilities().insert_and_claim {
            return None;
        }
        let plans = self.planner.parked();
        let (worker, backend) = (Arc::clone(self.worker), Arc::clone(self.backend));
        // Called at the time of the insert, by the thread that makes it.
        let room = move || {
            let is_current = backend.membership.id() == Some(id) && !worker.stop.claims.is_cancelled();
            let idle = if is_current && backend.claims.may_claim() { worker.slots.free() } else { 0 };
            let limit = if idle > 0 { worker.slots.room(None) } else { 0 };
            if limit > 0 {
                backend.claims.begin_claim();
            }
            Room { limit: saturating_u32(limit), last_attempts: saturating_u32(idle.min(limit)) }
        };
        let claim = ClaimId::generate().ok()?;
        let (limit, last_attempts) = (usize::MAX, usize::MAX);
        let sent = SentClaim { worker: id, claim, limit, last_attempts };
        let requests = plans.iter().map(|plan| self.request(plan, &sent)).collect();
        Some(ParkedPlans { plans, claim: self.backend.parked.park(requests, most, room) })
    }

    /// Withdraws a parked claim, and takes in its answer if an insert has made it.
    pub(super) async fn withdraw(&mut self, parked: ParkedPlans, answer: Option<Answer>) {
        let ParkedPlans { plans, claim } = parked;
        let answer = match answer {
            Some(answer) => Some(answer),
            None => claim.withdraw().await,
        };
        if let Some(answer) = answer {
            self.take_answer(&plans, answer).await;
        }
        self.backend.claims.end_claim();
    }

    async fn take_answer(&mut self, plans: &[ClaimPlan], answer: Answer) {
        let Answer { request, reply } = answer;
        let Some(plan) = plans.iter().find(|plan| plan.queue == request.queue) else { return };
        let size = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let sent = SentClaim {
            worker: request.worker,
            claim: request.claim,
            limit: size(request.limit),
            last_attempts: size(request.last_attempts),
        };
        self.take_reply(plan, &sent, reply).await;
    }
}
