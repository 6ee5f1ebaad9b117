//! Q5: a batch is stored in part, or gets the result of another batch.

use std::sync::Mutex;

use async_trait::async_trait;
use queue_core::backend::{CancelReply, CancelRequest, InsertReply, InsertRequest, SettleRequest, Settled};
use queue_core::{Backend as _, Error, ErrorKind, JobId, JobSpec, Result, Submitted};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q5 stores_the_rows_before_the_bad_one => StoresRowsBeforeBad,
    Q5 stores_the_rest_of_a_batch_that_is_known_in_part => StoresUnknownRows,
    Q5 gives_all_batches_of_a_request_one_fate => OneResultForAll,
    Q5 answers_in_the_order_of_the_ids => RepliesInIdOrder,
    Q5 ends_the_jobs_of_a_batch_together => CancelsRestOfBatch::default(),
}

/// Commits each row by itself, up to the bad one.
struct StoresRowsBeforeBad;

#[async_trait]
impl Mutation for StoresRowsBeforeBad {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let reply = sound.backend.insert(request.clone()).await?;
        for (batch, result) in
            request.batches.into_iter().zip(&reply.batches).filter(|(_, result)| result.is_err())
        {
            let bad = result.as_ref().err().and_then(|error| error.jobs().first().copied());
            let before: Vec<_> = batch.into_iter().take_while(|spec| Some(spec.id) != bad).collect();
            if !before.is_empty() {
                sound.reached();
                let mut half = InsertRequest::new(vec![before]);
                half.now = request.now;
                drop(sound.backend.insert(half).await?);
            }
        }
        Ok(reply)
    }
}

/// Stores each job of a batch by itself.
struct StoresUnknownRows;

#[async_trait]
impl Mutation for StoresUnknownRows {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut results = Vec::new();
        for batch in request.batches.clone() {
            let mut alone = InsertRequest::new(batch.into_iter().map(|spec| vec![spec]).collect());
            alone.now = request.now;
            let answers = sound.backend.insert(alone).await?.batches;
            let made = |answer: &Result<Vec<Submitted>>| answer.as_ref().is_ok_and(|jobs| jobs[0].is_new());
            let stored = answers.iter().filter(|answer| made(answer)).count();
            if stored > 0 && stored < answers.len() {
                sound.reached();
            }
            results.push(answers.into_iter().collect::<Result<Vec<_>>>().map(|answers| answers.concat()));
        }
        Ok(InsertReply::new(results))
    }
}

/// Refuses all batches of a request if one is bad.
struct OneResultForAll;

#[async_trait]
impl Mutation for OneResultForAll {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let stored = sound.stored().await.jobs;
        let is_known_in_part = |batch: &Vec<JobSpec>| {
            let known = batch.iter().filter(|spec| stored.contains(&spec.id)).count();
            known > 0 && known < batch.len()
        };
        if request.batches.len() > 1 && request.batches.iter().any(is_known_in_part) {
            sound.reached();
            let conflict = || Error::new(ErrorKind::Conflict, "insert jobs", "a job of the request is known");
            return Ok(InsertReply::new(request.batches.iter().map(|_| Err(conflict())).collect()));
        }
        sound.backend.insert(request).await
    }
}

/// Returns rows in id order, as a query without the order of the batch may.
struct RepliesInIdOrder;

#[async_trait]
impl Mutation for RepliesInIdOrder {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut reply = sound.backend.insert(request).await?;
        for answers in reply.batches.iter_mut().flatten() {
            if !answers.is_sorted_by_key(|job| job.id) {
                sound.reached();
                answers.sort_by_key(|job| job.id);
            }
        }
        Ok(reply)
    }
}

/// Cancels the waiting jobs of a batch when one of its jobs ends.
#[derive(Default)]
struct CancelsRestOfBatch(Mutex<Vec<Vec<JobId>>>);

#[async_trait]
impl Mutation for CancelsRestOfBatch {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
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
