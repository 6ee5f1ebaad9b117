//! Q2: a job runs that no enqueuer submitted.

use async_trait::async_trait;
use queue_core::backend::{ClaimReply, ClaimRequest, InsertReply, InsertRequest};
use queue_core::{Backend as _, JobId, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q2 runs_what_was_refused => StoresRefusedJobs,
    Q2 stores_each_job_twice => StoresTwice,
    Q2 brings_a_job_that_nobody_enqueued => ReturnsUnknownJob,
}

/// Stores the jobs of a refused batch that do not conflict.
struct StoresRefusedJobs;

#[async_trait]
impl Mutation for StoresRefusedJobs {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let reply = sound.backend.insert(request.clone()).await?;
        for (batch, result) in request.batches.into_iter().zip(&reply.batches) {
            if result.is_err() {
                sound.reached();
                let mut alone = InsertRequest::new(batch.into_iter().map(|spec| vec![spec]).collect());
                alone.now = request.now;
                drop(sound.backend.insert(alone).await?);
            }
        }
        Ok(reply)
    }
}

/// Stores each job a second time under a new id, as a careless retry within a backend would.
struct StoresTwice;

#[async_trait]
impl Mutation for StoresTwice {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let reply = sound.backend.insert(request.clone()).await?;
        let mut again = request;
        for spec in again.batches.iter_mut().flatten() {
            sound.reached();
            spec.id = JobId::generate();
        }
        drop(sound.backend.insert(again).await?);
        Ok(reply)
    }
}

struct ReturnsUnknownJob;

#[async_trait]
impl Mutation for ReturnsUnknownJob {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        if let Some(last) = reply.jobs.last().cloned() {
            sound.reached();
            let mut phantom = last;
            phantom.token.job = JobId::generate();
            reply.jobs.push(phantom);
        }
        Ok(reply)
    }
}
