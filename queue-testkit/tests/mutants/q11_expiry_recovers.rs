//! Q11: a dead worker's job comes back too early, too late, or never.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, MaintainReply, MaintainRequest,
    RetireRequest, SettleRequest, Settlement, Verdict,
};
use queue_core::{Backend as _, Result, Token};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

const TICK: Duration = Duration::from_micros(1);

mutants! {
    Q11 rescues_a_tick_too_early => ChangedRescue(|request| {
        request.now = request.now.map(|now| now.saturating_add(TICK));
    }),
    Q11 rescues_a_tick_too_late => ChangedRescue(|request| {
        request.now = request.now.map(|now| now.saturating_sub(TICK));
    }),
    Q11 never_rescues => ChangedRescue(|request| request.rescue = 0),
    Q11 rescues_beyond_its_limit => ChangedRescue(|request| request.rescue = u32::MAX),
    Q11 has_no_deadlines => NoDeadlines,
    Q11 takes_the_leases_of_a_worker_that_retires => TakesFromTheRetired,
    Q11 judges_by_an_older_look => OlderLook::default(),
}

struct ChangedRescue(fn(&mut MaintainRequest));

#[async_trait]
impl Mutation for ChangedRescue {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if request.rescue > 0 {
            sound.reached();
            self.0(&mut request);
        }
        sound.backend.maintain(request).await
    }
}

/// A worker that beats may keep a job for ever.
struct NoDeadlines;

#[async_trait]
impl Mutation for NoDeadlines {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        sound.reached();
        request.grace = Duration::MAX;
        sound.backend.claim(request).await
    }
}

/// Though what it left running may still run.
struct TakesFromTheRetired;

#[async_trait]
impl Mutation for TakesFromTheRetired {
    async fn retire(&self, sound: &Sound, request: RetireRequest) -> Result<()> {
        let rows = sound.stored().await.live;
        let held = rows.iter().filter(|row| row.worker == Some(request.worker));
        let token = |row: &queue_core::backend::LiveRow| Some(Token { job: row.id, claim: row.claim? });
        let ends: Vec<_> =
            held.filter_map(token).map(|token| Settlement::new(token, Verdict::Release)).collect();
        if !ends.is_empty() {
            sound.reached();
            drop(sound.backend.settle(SettleRequest::new(request.worker, ends)).await?);
        }
        sound.backend.retire(request).await
    }
}

/// A heartbeat that comes between the look and the rescue saves nobody.
#[derive(Default)]
struct OlderLook(AtomicU64);

#[async_trait]
impl Mutation for OlderLook {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let reply = sound.backend.heartbeat(request).await;
        self.0.fetch_add(1, Ordering::SeqCst);
        reply
    }

    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        let before = self.0.load(Ordering::SeqCst);
        wait_for_another(&self.0).await;
        if request.rescue > 0 && self.0.load(Ordering::SeqCst) != before {
            sound.reached();
            request.now = request.now.map(|now| now.saturating_add(Duration::from_secs(3600)));
        }
        sound.backend.maintain(request).await
    }
}
