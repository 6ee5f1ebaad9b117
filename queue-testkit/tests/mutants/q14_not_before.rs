//! Q14: a job starts before its `run_at`.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, InsertReply, InsertRequest, MaintainReply, MaintainRequest, SettleRequest,
    Settled, Verdict,
};
use queue_core::{Backend as _, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q14 claims_a_tick_too_early => ClaimsOneTickEarly,
    Q14 runs_a_scheduled_job_at_once => IgnoresRunAt,
    Q14 waits_for_no_delay => IgnoresDelay,
    Q14 promotes_more_than_it_is_asked => ExceedsPromoteLimit,
}

/// Compares `run_at` with the next tick.
struct ClaimsOneTickEarly;

#[async_trait]
impl Mutation for ClaimsOneTickEarly {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        sound.reached();
        request.now = request.now.map(|now| now.saturating_add(Duration::from_micros(1)));
        sound.backend.claim(request).await
    }
}

struct IgnoresRunAt;

#[async_trait]
impl Mutation for IgnoresRunAt {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let now = request.now;
        for spec in request.batches.iter_mut().flatten().filter(|spec| spec.run_at > now) {
            sound.reached();
            spec.run_at = now;
        }
        sound.backend.insert(request).await
    }
}

/// Ignores the delay of a retry or a snooze.
struct IgnoresDelay;

#[async_trait]
impl Mutation for IgnoresDelay {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Verdict::Retry { delay, .. } | Verdict::Snooze { delay } = &mut settlement.verdict
                && !delay.is_zero()
            {
                sound.reached();
                *delay = Duration::ZERO;
            }
        }
        sound.backend.settle(request).await
    }
}

struct ExceedsPromoteLimit;

#[async_trait]
impl Mutation for ExceedsPromoteLimit {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if request.promote > 0 {
            sound.reached();
            request.promote = u32::MAX;
        }
        sound.backend.maintain(request).await
    }
}
