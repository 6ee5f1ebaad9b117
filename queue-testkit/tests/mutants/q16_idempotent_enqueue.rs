//! Q16: a job that is enqueued again is stored twice, refused, or confused with another job.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{InsertReply, InsertRequest};
use queue_core::{Backend as _, Error, ErrorKind, Insertion, JobId, JobSpec, Result, Submitted};
use serde_json::Value;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound, wait_for_another};

mutants! {
    Q16 makes_a_second_job_of_the_same_id => StoresAgain,
    Q16 accepts_the_same_id_with_other_content => IgnoresConflict,
    Q16 compares_payloads_by_what_they_mean => ComparesParsedJson::default(),
    Q16 compares_attributes => ComparesAttributes,
    Q16 refuses_what_it_knows => RefusesKnown,
    Q16 tells_two_that_they_made_the_job => ReturnsNewTwice::default(),
}

/// Stores the known job again under a new id.
struct StoresAgain;

#[async_trait]
impl Mutation for StoresAgain {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let stored = sound.stored().await.jobs;
        let asked: Vec<Vec<JobId>> =
            request.batches.iter().map(|batch| batch.iter().map(|spec| spec.id).collect()).collect();
        for spec in request.batches.iter_mut().flatten().filter(|spec| stored.contains(&spec.id)) {
            sound.reached();
            spec.id = JobId::generate();
        }
        let mut reply = sound.backend.insert(request).await?;
        for (answers, asked) in reply.batches.iter_mut().zip(asked) {
            for (answer, id) in answers.iter_mut().flatten().zip(asked) {
                answer.id = id;
            }
        }
        Ok(reply)
    }
}

/// Compares attributes, as a comparison of whole rows would.
struct ComparesAttributes;

#[async_trait]
impl Mutation for ComparesAttributes {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        for spec in request.batches.iter().flatten() {
            let Some(stored) = sound.record(spec.id).await else { continue };
            if stored.job.attributes != spec.attributes {
                sound.reached();
                let message = format!("the job {} is stored with other content", spec.id);
                let error = || Error::new(ErrorKind::Conflict, "enqueue jobs", message.clone());
                let refused = request.batches.iter().map(|_| Err(error().with_jobs(vec![spec.id]))).collect();
                return Ok(InsertReply::new(refused));
            }
        }
        sound.backend.insert(request).await
    }
}

/// Ignores a conflict, as `ON CONFLICT DO NOTHING` would.
struct IgnoresConflict;

#[async_trait]
impl Mutation for IgnoresConflict {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let stored = sound.stored().await.jobs;
        let batches = request.batches.clone();
        let mut reply = sound.backend.insert(request).await?;
        for (batch, result) in batches.iter().zip(&mut reply.batches) {
            let is_known = batch.iter().all(|spec| stored.contains(&spec.id));
            if is_known && result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
                sound.reached();
                *result = Ok(known(batch));
            }
        }
        Ok(reply)
    }
}

fn known(batch: &[JobSpec]) -> Vec<Submitted> {
    batch.iter().map(|spec| Submitted::new(spec.id, Insertion::Known)).collect()
}

/// Compares payloads as parsed JSON, as a JSON column would.
#[derive(Default)]
struct ComparesParsedJson(Mutex<BTreeMap<JobId, JobSpec>>);

#[async_trait]
impl Mutation for ComparesParsedJson {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let meaning = |spec: &JobSpec| serde_json::from_str::<Value>(spec.payload.as_str()).ok();
        let mut first = self.0.lock().unwrap().clone();
        for spec in request.batches.iter_mut().flatten() {
            let stored = first.entry(spec.id).or_insert_with(|| spec.clone());
            if stored.payload != spec.payload && meaning(stored) == meaning(spec) {
                sound.reached();
                spec.payload = stored.payload.clone();
            }
        }
        *self.0.lock().unwrap() = first;
        sound.backend.insert(request).await
    }
}

/// Refuses a known job, so that an enqueue of unknown outcome cannot be repeated.
struct RefusesKnown;

#[async_trait]
impl Mutation for RefusesKnown {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut reply = sound.backend.insert(request).await?;
        for result in &mut reply.batches {
            if let Ok([first, ..]) = result.as_deref()
                && !first.is_new()
            {
                sound.reached();
                let message = format!("the id {} is stored already", first.id);
                let error = Error::new(ErrorKind::Conflict, "insert jobs", message).with_jobs(vec![first.id]);
                *result = Err(error);
            }
        }
        Ok(reply)
    }
}

/// Reads whether the job is new before it stores it, so that two concurrent inserts report it as
/// new.
#[derive(Default)]
struct ReturnsNewTwice(AtomicU64);

#[async_trait]
impl Mutation for ReturnsNewTwice {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut is_new = Vec::new();
        for batch in &request.batches {
            is_new.push(sound.record(batch[0].id).await.is_none());
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        if is_new.contains(&true) {
            wait_for_another(&self.0).await;
        }
        let mut reply = sound.backend.insert(request).await?;
        for (answers, is_new) in reply.batches.iter_mut().zip(is_new) {
            for answer in answers.iter_mut().flatten().filter(|answer| answer.is_new() != is_new) {
                sound.reached();
                answer.insertion = if is_new { Insertion::New } else { Insertion::Known };
            }
        }
        Ok(reply)
    }
}
