//! Q8: a finished job changes, or is pruned too early.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, ClaimedJob, InsertReply, InsertRequest, MaintainReply, MaintainRequest,
    Manage as _, Prune, RetryReply, RetryRequest,
};
use queue_core::{Backend as _, JobId, JobState, Result, Timestamp};

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
    Q8 says_that_a_job_was_retried => Retries(|_, _| Some(RetryReply::Retried)),
    Q8 says_that_a_retried_job_is_unfinished => Retries(|_, reply| {
        (reply == RetryReply::Retried).then_some(RetryReply::Unfinished(JobState::Ready))
    }),
    Q8 does_not_find_unfinished_jobs_to_retry => Retries(|_, reply| {
        matches!(reply, RetryReply::Unfinished(_)).then_some(RetryReply::NotFound)
    }),
    Q8 swaps_the_replies_to_retries => SwapsReplies,
    Q8 retries_a_hundred_jobs_at_most => RetriesAHundred,
    Q8 retries_at_an_earlier_time => RetriesEarlier,
    Q8 grants_only_the_first_budget => GrantsTheFirstBudget,
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

/// Replies something else. The operation is right.
struct Retries(fn(JobId, RetryReply) -> Option<RetryReply>);

#[async_trait]
impl Mutation for Retries {
    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let jobs = request.jobs.clone();
        let mut replies = sound.backend.retry(request).await?;
        for (job, reply) in jobs.into_iter().zip(&mut replies) {
            if let Some(other) = self.0(job, *reply).filter(|other| other != reply) {
                sound.reached();
                *reply = other;
            }
        }
        Ok(replies)
    }
}

struct SwapsReplies;

#[async_trait]
impl Mutation for SwapsReplies {
    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let mut replies = sound.backend.retry(request).await?;
        if replies.len() > 1 {
            sound.reached();
            replies.reverse();
        }
        Ok(replies)
    }
}

/// Says of the others that they were retried.
struct RetriesAHundred;

#[async_trait]
impl Mutation for RetriesAHundred {
    async fn retry(&self, sound: &Sound, mut request: RetryRequest) -> Result<Vec<RetryReply>> {
        let rest = request.jobs.split_off(request.jobs.len().min(100));
        let mut replies = sound.backend.retry(request).await?;
        for job in rest {
            sound.reached();
            replies.push(match sound.record(job).await.map(|record| record.state) {
                None => RetryReply::NotFound,
                Some(state) if state.is_finished() => RetryReply::Retried,
                Some(state) => RetryReply::Unfinished(state),
            });
        }
        Ok(replies)
    }
}

/// Back-dates the job by a second.
struct RetriesEarlier;

#[async_trait]
impl Mutation for RetriesEarlier {
    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        sound.reached();
        let now = request.now.unwrap_or_else(Timestamp::now).saturating_sub(Duration::from_secs(1));
        sound.backend.retry(request.at(now)).await
    }
}

/// Returns the number of retries of the insert with each claim.
struct GrantsTheFirstBudget;

#[async_trait]
impl Mutation for GrantsTheFirstBudget {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        for job in &mut reply.jobs {
            let Some(record) = sound.record(job.token.job).await else { continue };
            if job.max_retries != record.job.max_retries {
                sound.reached();
                job.max_retries = record.job.max_retries;
            }
        }
        Ok(reply)
    }
}
