//! Q22: an error is wrong, or leaves resources behind.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, InsertReply,
    InsertRequest, Manage as _, RetryReply, RetryRequest,
};
use queue_core::{Backend as _, Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q22 calls_a_conflict_unavailable => ConflictIsUnavailable,
    Q22 makes_an_error_of_an_answer => NotFoundIsAnError,
    Q22 is_broken_after_an_error => BrokenAfterError::default(),
    Q22 panics_at_the_greatest_limit => PanicsAtGreatestLimit,
    Q22 stores_half_of_a_dropped_insert => InsertsInTwoSteps,
    Q22 makes_half_of_a_dropped_retry => RetriesOneByOne,
    Q22 loses_a_connection_with_a_dropped_future => LosesConnections(Semaphore::new(4)),
}

/// Retries each job in a transaction of its own.
struct RetriesOneByOne;

#[async_trait]
impl Mutation for RetriesOneByOne {
    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        let mut replies = Vec::new();
        for job in &request.jobs {
            sound.reached();
            let mut one = RetryRequest::new(vec![*job]);
            one.now = request.now;
            replies.extend(sound.backend.retry(one).await?);
            tokio::task::yield_now().await;
        }
        Ok(replies)
    }
}

/// Marks a conflict as retryable, so that callers retry forever.
struct ConflictIsUnavailable;

#[async_trait]
impl Mutation for ConflictIsUnavailable {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut reply = sound.backend.insert(request).await?;
        for error in reply.batches.iter_mut().filter_map(|result| result.as_mut().err()) {
            sound.reached();
            *error = Error::new(ErrorKind::Unavailable, "insert jobs", error.message());
        }
        Ok(reply)
    }
}

/// Fails the request if a job does not exist.
struct NotFoundIsAnError;

#[async_trait]
impl Mutation for NotFoundIsAnError {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let replies = sound.backend.cancel(request).await?;
        if replies.contains(&CancelReply::NotFound) {
            sound.reached();
            return Err(Error::new(ErrorKind::NotFound, "cancel jobs", "a job does not exist"));
        }
        Ok(replies)
    }
}

/// Fails each request after an error, like a connection with an open transaction.
#[derive(Default)]
struct BrokenAfterError(AtomicBool);

impl BrokenAfterError {
    fn seen<T>(&self, answer: Result<T>) -> Result<T> {
        if answer.is_err() {
            self.0.store(true, Ordering::SeqCst);
        }
        answer
    }

    fn check(&self, sound: &Sound) -> Result<()> {
        if !self.0.load(Ordering::SeqCst) {
            return Ok(());
        }
        sound.reached();
        Err(Error::new(ErrorKind::Unavailable, "begin", "the transaction before was not ended"))
    }
}

#[async_trait]
impl Mutation for BrokenAfterError {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        self.check(sound)?;
        let reply = sound.backend.insert(request).await?;
        Ok(InsertReply::new(reply.batches.into_iter().map(|result| self.seen(result)).collect()))
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        self.check(sound)?;
        self.seen(sound.backend.claim(request).await)
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.check(sound)?;
        self.seen(sound.backend.heartbeat(request).await)
    }
}

struct PanicsAtGreatestLimit;

#[async_trait]
impl Mutation for PanicsAtGreatestLimit {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        if request.limit == u32::MAX {
            sound.reached();
            // `resume_unwind` skips the panic hook, which would print a message.
            std::panic::resume_unwind(Box::new("attempt to add with overflow"));
        }
        sound.backend.claim(request).await
    }
}

/// Inserts in two steps, so that a drop of the future can leave the first one.
struct InsertsInTwoSteps;

#[async_trait]
impl Mutation for InsertsInTwoSteps {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let known = sound.stored().await.jobs;
        let is_new = request.batches.iter().flatten().all(|spec| !known.contains(&spec.id));
        if let [batch] = request.batches.as_slice()
            && is_new
            && batch.len() > 1
        {
            sound.reached();
            let mut half = InsertRequest::new(vec![batch[..batch.len() / 2].to_vec()]);
            half.now = request.now;
            let mut rest = InsertRequest::new(vec![batch[batch.len() / 2..].to_vec()]);
            rest.now = request.now;
            let mut reply = sound.backend.insert(half).await?;
            tokio::task::yield_now().await;
            let rest = sound.backend.insert(rest).await?;
            if let (Some(Ok(first)), Some(Ok(second))) =
                (reply.batches.first_mut(), rest.batches.into_iter().next())
            {
                first.extend(second);
            }
            return Ok(reply);
        }
        sound.backend.insert(request).await
    }
}

/// Takes one of four permits per insert, and loses it if the future is dropped.
struct LosesConnections(Semaphore);

#[async_trait]
impl Mutation for LosesConnections {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let limit = std::time::Duration::from_secs(2);
        let Ok(Ok(connection)) = tokio::time::timeout(limit, self.0.acquire()).await else {
            sound.reached();
            return Err(Error::new(ErrorKind::Unavailable, "insert jobs", "no connection is free"));
        };
        connection.forget();
        tokio::task::yield_now().await;
        let results = sound.backend.insert(request).await;
        self.0.add_permits(1);
        results
    }
}
