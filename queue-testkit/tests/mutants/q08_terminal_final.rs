//! Q8: a finished job changes, or is pruned too early.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, ClaimedJob, InsertReply, InsertRequest, MaintainReply, MaintainRequest, Prune,
};
use queue_core::{Backend as _, Result, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q8 revives_a_finished_job_that_is_inserted_again => ReplacesFinished,
    Q8 claims_finished_jobs => ClaimsFinished::default(),
    Q8 prunes_a_tick_too_early => ChangedPrune(|prune| {
        for retention in [&mut prune.completed, &mut prune.cancelled, &mut prune.dead] {
            *retention = retention.saturating_sub(Duration::from_micros(1));
        }
    }),
    Q8 prunes_ids_of_the_idempotency_window => ChangedPrune(|prune| prune.idempotency_window = Duration::ZERO),
    Q8 prunes_beyond_its_limit => ChangedPrune(|prune| prune.limit = u32::MAX),
}

/// Removes the finished job and inserts it as new.
struct ReplacesFinished;

#[async_trait]
impl Mutation for ReplacesFinished {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let ended = sound.stored().await.outcomes;
        let is_ended = |spec: &queue_core::JobSpec| ended.iter().any(|row| row.id == spec.id);
        if request.batches.iter().flatten().any(is_ended) {
            sound.reached();
            let none = Duration::ZERO;
            let prune = Prune::default()
                .completed(none)
                .cancelled(none)
                .dead(none)
                .idempotency_window(none)
                .limit(u32::MAX);
            sound.backend.maintain(MaintainRequest::prune(prune).at(Timestamp::MAX)).await?;
        }
        sound.backend.insert(request).await
    }
}

#[derive(Default)]
struct ClaimsFinished(Mutex<Vec<ClaimedJob>>);

#[async_trait]
impl Mutation for ClaimsFinished {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let (claim, limit) = (request.claim, usize::try_from(request.limit).unwrap_or(usize::MAX));
        let mut reply = sound.backend.claim(request).await?;
        let ended = sound.stored().await.outcomes;
        let mut claimed = self.0.lock().unwrap();
        for job in claimed.iter().filter(|job| ended.iter().any(|row| row.id == job.token.job)) {
            if reply.jobs.len() < limit {
                sound.reached();
                let mut again = job.clone();
                again.token.claim = claim;
                reply.jobs.push(again);
            }
        }
        claimed.extend(reply.jobs.iter().cloned());
        Ok(reply)
    }
}

struct ChangedPrune(fn(&mut Prune));

#[async_trait]
impl Mutation for ChangedPrune {
    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if let Some(prune) = &mut request.prune {
            sound.reached();
            self.0(prune);
        }
        sound.backend.maintain(request).await
    }
}
