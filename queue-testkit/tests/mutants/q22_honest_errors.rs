//! Q22: an error says what is not so, or leaves something behind.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, InsertReply,
    InsertRequest,
};
use queue_core::{Backend as _, Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q22 calls_a_conflict_unavailable => CallsItUnavailable,
    Q22 makes_an_error_of_an_answer => ErrorForAnAnswer,
    Q22 is_broken_after_an_error => BrokenAfterwards::default(),
    Q22 panics_at_the_greatest_limit => Panics,
    Q22 stores_half_of_a_dropped_insert => HalfOfADropped,
    Q22 loses_a_connection_with_a_dropped_future => LosesConnections(Semaphore::new(4)),
}

/// It asks to be tried again, for ever.
struct CallsItUnavailable;

#[async_trait]
impl Mutation for CallsItUnavailable {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let mut reply = sound.backend.insert(request).await?;
        for error in reply.batches.iter_mut().filter_map(|fate| fate.as_mut().err()) {
            sound.reached();
            *error = Error::new(ErrorKind::Unavailable, "insert jobs", error.message());
        }
        Ok(reply)
    }
}

/// What does not exist fails the request.
struct ErrorForAnAnswer;

#[async_trait]
impl Mutation for ErrorForAnAnswer {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let replies = sound.backend.cancel(request).await?;
        if replies.contains(&CancelReply::NotFound) {
            sound.reached();
            return Err(Error::new(ErrorKind::NotFound, "cancel jobs", "a job does not exist"));
        }
        Ok(replies)
    }
}

/// As a connection is whose transaction nobody ended.
#[derive(Default)]
struct BrokenAfterwards(AtomicBool);

impl BrokenAfterwards {
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
impl Mutation for BrokenAfterwards {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        self.check(sound)?;
        let reply = sound.backend.insert(request).await?;
        Ok(InsertReply::new(reply.batches.into_iter().map(|fate| self.seen(fate)).collect()))
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

struct Panics;

#[async_trait]
impl Mutation for Panics {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        if request.limit == u32::MAX {
            sound.reached();
            // Without the message that the panic hook would print.
            std::panic::resume_unwind(Box::new("attempt to add with overflow"));
        }
        sound.backend.claim(request).await
    }
}

/// Between the two halves the future can be dropped.
struct HalfOfADropped;

#[async_trait]
impl Mutation for HalfOfADropped {
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

/// Each insert takes one of four, and gives it back if it gets that far.
struct LosesConnections(Semaphore);

#[async_trait]
impl Mutation for LosesConnections {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let patience = std::time::Duration::from_secs(2);
        let Ok(Ok(connection)) = tokio::time::timeout(patience, self.0.acquire()).await else {
            sound.reached();
            return Err(Error::new(ErrorKind::Unavailable, "insert jobs", "no connection is free"));
        };
        connection.forget();
        tokio::task::yield_now().await;
        let fates = sound.backend.insert(request).await;
        self.0.add_permits(1);
        fates
    }
}
