//! Q15: two jobs hold a unique key, a key is held too short or too long, or the reply is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, InsertReply, InsertRequest, JobRecord, Manage as _, RetryReply, RetryRequest,
    SettleRequest, Settled, Verdict,
};
use queue_core::{Backend as _, Insertion, JobId, JobSpec, Kind, Result, Submitted, UniqueKey};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

mutants! {
    Q15 stores_jobs_without_their_keys => Respells(|_| None),
    Q15 keeps_no_key_after_the_completion => Respells(|key| Some((key.as_str().to_owned(), Duration::ZERO))),
    Q15 keeps_a_key_a_tick_too_long => Respells(|key| Some((key.as_str().to_owned(), a_tick_longer(key)))),
    Q15 folds_the_case_of_keys => Respells(|key| Some((key.as_str().to_lowercase(), key.keep()))),
    Q15 looks_for_a_key_and_takes_it_in_two_steps => TakesInTwoSteps::default(),
    Q15 shares_keys_between_kinds => SharesKeys,
    Q15 says_that_a_duplicate_is_new => Replies(|job, _| Submitted::new(job, Insertion::New)),
    Q15 names_the_refused_job_as_the_holder => Replies(|job, _| Submitted::new(job, Insertion::Duplicate)),
    Q15 says_that_a_duplicate_is_known => Replies(|_, holder| Submitted::new(holder, Insertion::Known)),
    Q15 releases_the_key_with_the_lease => ReleasesWithTheLease::default(),
    Q15 keeps_the_key_of_a_cancelled_job => KeepsOfCancelled::default(),
    Q15 names_the_retried_job_as_the_holder => NamesTheRetriedJob,
    Q15 reads_no_keys => ReadsNoKeys,
}

fn a_tick_longer(key: &UniqueKey) -> Duration {
    if key.keep().is_zero() { Duration::ZERO } else { key.keep().saturating_add(Duration::from_micros(1)) }
}

fn keyed(request: &mut InsertRequest) -> impl Iterator<Item = &mut JobSpec> {
    request.batches.iter_mut().flatten().filter(|spec| spec.unique.is_some())
}

/// Stores another key than the one of the request, or none.
struct Respells(fn(&UniqueKey) -> Option<(String, Duration)>);

#[async_trait]
impl Mutation for Respells {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        for spec in keyed(&mut request) {
            let Some(key) = &spec.unique else { continue };
            let other = self.0(key).map(|(text, keep)| UniqueKey::from_stored(text, keep));
            if other != spec.unique {
                sound.reached();
                spec.unique = other;
            }
        }
        sound.backend.insert(request).await
    }
}

/// Reads whether a key is free before it inserts the job, and does not ask again.
#[derive(Default)]
struct TakesInTwoSteps(AtomicU64);

#[async_trait]
impl Mutation for TakesInTwoSteps {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let held: BTreeSet<String> =
            sound.stored().await.unique_keys.into_iter().map(|row| row.key).collect();
        let is_free = |spec: &JobSpec| spec.unique.as_ref().is_some_and(|key| !held.contains(key.as_str()));
        let free: Vec<JobSpec> =
            request.batches.iter().flatten().filter(|spec| is_free(spec)).cloned().collect();
        self.0.fetch_add(1, Ordering::SeqCst);
        if !free.is_empty() {
            wait_for_another(&self.0).await;
        }
        let now = request.now;
        let mut reply = sound.backend.insert(request).await?;
        for answer in reply.batches.iter_mut().flatten().flatten() {
            if answer.insertion == Insertion::Duplicate
                && let Some(mut spec) = free.iter().find(|spec| spec.id != answer.id).cloned()
            {
                sound.reached();
                spec.unique = None;
                answer.id = spec.id;
                answer.insertion = Insertion::New;
                let mut again = InsertRequest::new(vec![vec![spec]]);
                again.now = now;
                sound.backend.insert(again).await?;
            }
        }
        Ok(reply)
    }
}

/// Looks for the key alone, without the kind.
struct SharesKeys;

#[async_trait]
impl Mutation for SharesKeys {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let held = sound.stored().await.unique_keys;
        let text = |spec: &JobSpec| spec.unique.as_ref().map(|key| key.as_str().to_owned());
        let of_other_kind = |spec: &JobSpec| {
            let holds = |row: &&queue_core::backend::KeyRow| {
                Some(&row.key) == text(spec).as_ref() && row.kind != spec.kind
            };
            held.iter().find(holds).map(|row| row.job)
        };
        if let [batch] = request.batches.as_slice()
            && let [spec] = batch.as_slice()
            && let Some(holder) = of_other_kind(spec)
        {
            sound.reached();
            return Ok(InsertReply::new(vec![Ok(vec![Submitted::new(holder, Insertion::Duplicate)])]));
        }
        sound.backend.insert(request).await
    }
}

/// Gives another reply for a duplicate, from the ids of the job and of the holder.
struct Replies(fn(JobId, JobId) -> Submitted);

#[async_trait]
impl Mutation for Replies {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let batches = request.batches.clone();
        let mut reply = sound.backend.insert(request).await?;
        for (batch, answers) in batches.iter().zip(&mut reply.batches) {
            let Ok(answers) = answers else { continue };
            for (spec, answer) in batch.iter().zip(answers) {
                if answer.insertion == Insertion::Duplicate {
                    sound.reached();
                    *answer = self.0(spec.id, answer.id);
                }
            }
        }
        Ok(reply)
    }
}

/// Releases the key when the job is retried, snoozed or released, as if the lease held it.
#[derive(Default)]
struct ReleasesWithTheLease(Mutex<BTreeSet<JobId>>);

#[async_trait]
impl Mutation for ReleasesWithTheLease {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let goes_on = |verdict: &Verdict| verdict.final_state().is_none();
        let jobs = request.settlements.iter().filter(|settlement| goes_on(&settlement.verdict));
        self.0.lock().unwrap().extend(jobs.map(|settlement| settlement.token.job));
        sound.backend.settle(request).await
    }

    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let held = sound.stored().await.unique_keys;
        let released = self.0.lock().unwrap().clone();
        for spec in keyed(&mut request) {
            let text = spec.unique.as_ref().map(UniqueKey::as_str);
            if held.iter().any(|row| Some(row.key.as_str()) == text && released.contains(&row.job)) {
                sound.reached();
                spec.unique = None;
            }
        }
        sound.backend.insert(request).await
    }
}

/// Leaves the key with a job that was cancelled before its start.
#[derive(Default)]
struct KeepsOfCancelled(Mutex<BTreeMap<(Kind, String), JobId>>);

#[async_trait]
impl Mutation for KeepsOfCancelled {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let held = sound.stored().await.unique_keys;
        let jobs = request.jobs.clone();
        let replies = sound.backend.cancel(request).await?;
        for (job, reply) in jobs.iter().zip(&replies) {
            let kept = held.iter().filter(|row| row.job == *job && *reply == CancelReply::Cancelled);
            self.0.lock().unwrap().extend(kept.map(|row| ((row.kind.clone(), row.key.clone()), row.job)));
        }
        Ok(replies)
    }

    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let kept = self.0.lock().unwrap().clone();
        let holder = |spec: &JobSpec| {
            kept.get(&(spec.kind.clone(), spec.unique.as_ref()?.as_str().to_owned())).copied()
        };
        let spec = request.batches.iter().flatten().find(|spec| holder(spec).is_some());
        if let Some(holder) = spec.and_then(holder) {
            sound.reached();
            return Ok(InsertReply::new(vec![Ok(vec![Submitted::new(holder, Insertion::Duplicate)])]));
        }
        sound.backend.insert(request).await
    }
}

/// Returns records without their keys.
struct ReadsNoKeys;

#[async_trait]
impl Mutation for ReadsNoKeys {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::new();
        for id in ids {
            let mut record = sound.record(*id).await;
            if let Some(unique) = record.as_mut().and_then(|record| record.job.unique.take()) {
                sound.reached();
                drop(unique);
            }
            records.push(record);
        }
        Ok(records)
    }
}

struct NamesTheRetriedJob;

#[async_trait]
impl Mutation for NamesTheRetriedJob {
    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let jobs = request.jobs.clone();
        let mut replies = sound.backend.retry(request).await?;
        for (job, reply) in jobs.into_iter().zip(&mut replies) {
            if matches!(reply, RetryReply::KeyHeld(_)) {
                sound.reached();
                *reply = RetryReply::KeyHeld(job);
            }
        }
        Ok(replies)
    }
}
