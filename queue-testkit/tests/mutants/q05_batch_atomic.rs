//! Q5: a batch is stored in part, or is answered with the fate of another.

use std::sync::Mutex;

use async_trait::async_trait;
use queue_core::backend::{CancelReply, CancelRequest, InsertRequest, SettleRequest, Settled};
use queue_core::{Backend as _, Error, ErrorKind, JobId, JobSpec, Result, Submitted};

use crate::caught::mutants;
use crate::mutation::{Fates, Mutation, Sound};

mutants! {
    Q5 stores_the_rows_before_the_bad_one => StoresWhatCameBefore,
    Q5 stores_the_rest_of_a_batch_that_is_known_in_part => StoresTheRest,
    Q5 gives_all_batches_of_a_request_one_fate => OneFate,
    Q5 answers_in_the_order_of_the_ids => OrderOfTheIds,
    Q5 ends_the_jobs_of_a_batch_together => EndsTogether::default(),
}

/// One row after the other, each committed by itself.
struct StoresWhatCameBefore;

#[async_trait]
impl Mutation for StoresWhatCameBefore {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let fates = sound.backend.insert(request.clone()).await?;
        for (batch, fate) in request.batches.into_iter().zip(&fates).filter(|(_, fate)| fate.is_err()) {
            let bad = fate.as_ref().err().and_then(|error| error.jobs().first().copied());
            let before: Vec<_> = batch.into_iter().take_while(|spec| Some(spec.id) != bad).collect();
            if !before.is_empty() {
                sound.reached();
                let mut half = InsertRequest::new(vec![before]);
                half.now = request.now;
                drop(sound.backend.insert(half).await?);
            }
        }
        Ok(fates)
    }
}

/// As if each job of it had been asked for by itself.
struct StoresTheRest;

#[async_trait]
impl Mutation for StoresTheRest {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let mut fates = Vec::new();
        for batch in request.batches.clone() {
            let mut alone = InsertRequest::new(batch.into_iter().map(|spec| vec![spec]).collect());
            alone.now = request.now;
            let answers = sound.backend.insert(alone).await?;
            let made = |answer: &Result<Vec<Submitted>>| answer.as_ref().is_ok_and(|jobs| jobs[0].is_new());
            let stored = answers.iter().filter(|answer| made(answer)).count();
            if stored > 0 && stored < answers.len() {
                sound.reached();
            }
            fates.push(answers.into_iter().collect::<Result<Vec<_>>>().map(|answers| answers.concat()));
        }
        Ok(fates)
    }
}

/// One bad batch, and none is stored.
struct OneFate;

#[async_trait]
impl Mutation for OneFate {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let stored = sound.stored().await.jobs;
        let is_known_in_part = |batch: &Vec<JobSpec>| {
            let known = batch.iter().filter(|spec| stored.contains(&spec.id)).count();
            known > 0 && known < batch.len()
        };
        if request.batches.len() > 1 && request.batches.iter().any(is_known_in_part) {
            sound.reached();
            let conflict = || Error::new(ErrorKind::Conflict, "insert jobs", "a job of the request is known");
            return Ok(request.batches.iter().map(|_| Err(conflict())).collect());
        }
        sound.backend.insert(request).await
    }
}

/// As rows come back from a database that was not asked for an order.
struct OrderOfTheIds;

#[async_trait]
impl Mutation for OrderOfTheIds {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let mut fates = sound.backend.insert(request).await?;
        for answers in fates.iter_mut().flatten() {
            if !answers.is_sorted_by_key(|job| job.id) {
                sound.reached();
                answers.sort_by_key(|job| job.id);
            }
        }
        Ok(fates)
    }
}

/// A job that ends takes those with it that still wait and came with it.
#[derive(Default)]
struct EndsTogether(Mutex<Vec<Vec<JobId>>>);

#[async_trait]
impl Mutation for EndsTogether {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let ids = |batch: &Vec<JobSpec>| batch.iter().map(|spec| spec.id).collect();
        self.0.lock().unwrap().extend(request.batches.iter().map(ids));
        sound.backend.insert(request).await
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let settlements = request.settlements.clone();
        let mut cancel = CancelRequest::new(Vec::new());
        cancel.now = request.now;
        let answers = sound.backend.settle(request).await?;
        for settlement in settlements.iter().filter(|one| one.verdict.final_state().is_some()) {
            let batches = self.0.lock().unwrap();
            let together = batches.iter().filter(|batch| batch.contains(&settlement.token.job));
            cancel.jobs.extend(together.flatten().copied());
        }
        let replies = sound.backend.cancel(cancel).await?;
        if replies.contains(&CancelReply::Cancelled) {
            sound.reached();
        }
        Ok(answers)
    }
}
