//! Q16: a job that is enqueued again is there twice, refused, or taken for another.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::InsertRequest;
use queue_core::{Backend as _, Error, ErrorKind, Insertion, JobId, JobSpec, Submitted};
use serde_json::Value;

use crate::caught::mutants;
use crate::mutation::{Fates, Mutation, Sound, wait_for_another};

mutants! {
    Q16 makes_a_second_job_of_the_same_id => SecondJob,
    Q16 accepts_the_same_id_with_other_content => OtherContent,
    Q16 compares_payloads_by_what_they_mean => SameMeaning::default(),
    Q16 compares_attributes => ComparesAttributes,
    Q16 refuses_what_it_knows => RefusesTheKnown,
    Q16 tells_two_that_they_made_the_job => TellsTwo::default(),
}

/// Under an id of its own.
struct SecondJob;

#[async_trait]
impl Mutation for SecondJob {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Fates {
        let stored = sound.stored().await.jobs;
        let asked: Vec<Vec<JobId>> =
            request.batches.iter().map(|batch| batch.iter().map(|spec| spec.id).collect()).collect();
        for spec in request.batches.iter_mut().flatten().filter(|spec| stored.contains(&spec.id)) {
            sound.reached();
            spec.id = JobId::generate();
        }
        let mut fates = sound.backend.insert(request).await?;
        for (answers, asked) in fates.iter_mut().zip(asked) {
            for (answer, id) in answers.iter_mut().flatten().zip(asked) {
                answer.id = id;
            }
        }
        Ok(fates)
    }
}

/// As a comparison of whole rows would.
struct ComparesAttributes;

#[async_trait]
impl Mutation for ComparesAttributes {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        for spec in request.batches.iter().flatten() {
            let Some(stored) = sound.record(spec.id).await else { continue };
            if stored.job.attributes != spec.attributes {
                sound.reached();
                let message = format!("the job {} is stored with other content", spec.id);
                let error = || Error::new(ErrorKind::Conflict, "enqueue jobs", message.clone());
                return Ok(request.batches.iter().map(|_| Err(error().with_jobs(vec![spec.id]))).collect());
            }
        }
        sound.backend.insert(request).await
    }
}

/// As `ON CONFLICT DO NOTHING` would.
struct OtherContent;

#[async_trait]
impl Mutation for OtherContent {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let stored = sound.stored().await.jobs;
        let batches = request.batches.clone();
        let mut fates = sound.backend.insert(request).await?;
        for (batch, fate) in batches.iter().zip(&mut fates) {
            let is_known = batch.iter().all(|spec| stored.contains(&spec.id));
            if is_known && fate.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
                sound.reached();
                *fate = Ok(known(batch));
            }
        }
        Ok(fates)
    }
}

fn known(batch: &[JobSpec]) -> Vec<Submitted> {
    batch.iter().map(|spec| Submitted::new(spec.id, Insertion::Known)).collect()
}

/// As a column of parsed JSON does.
#[derive(Default)]
struct SameMeaning(Mutex<BTreeMap<JobId, JobSpec>>);

#[async_trait]
impl Mutation for SameMeaning {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Fates {
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

/// An enqueue of unknown outcome cannot be repeated.
struct RefusesTheKnown;

#[async_trait]
impl Mutation for RefusesTheKnown {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let mut fates = sound.backend.insert(request).await?;
        for fate in &mut fates {
            if let Ok([first, ..]) = fate.as_deref()
                && !first.is_new()
            {
                sound.reached();
                let message = format!("the id {} is stored already", first.id);
                let error = Error::new(ErrorKind::Conflict, "insert jobs", message).with_jobs(vec![first.id]);
                *fate = Err(error);
            }
        }
        Ok(fates)
    }
}

/// Whether the job is new is asked for before it is stored.
#[derive(Default)]
struct TellsTwo(AtomicU64);

#[async_trait]
impl Mutation for TellsTwo {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let mut is_new = Vec::new();
        for batch in &request.batches {
            is_new.push(sound.record(batch[0].id).await.is_none());
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        if is_new.contains(&true) {
            wait_for_another(&self.0).await;
        }
        let mut fates = sound.backend.insert(request).await?;
        for (answers, is_new) in fates.iter_mut().zip(is_new) {
            for answer in answers.iter_mut().flatten().filter(|answer| answer.is_new() != is_new) {
                sound.reached();
                answer.insertion = if is_new { Insertion::New } else { Insertion::Known };
            }
        }
        Ok(fates)
    }
}
