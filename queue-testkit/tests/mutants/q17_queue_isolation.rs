//! Q17: a pause has no effect, or affects other queues.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{ClaimReply, ClaimRequest, Manage as _};
use queue_core::{Backend as _, QueueName, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q17 gives_jobs_of_a_paused_queue => IgnoresPause::default(),
    Q17 pauses_every_queue => PausesAllQueues,
    Q17 pauses_for_its_own_handle_only => PausesOwnHandle::default(),
    Q17 returns_from_pause_before_the_claims_that_are_under_way => ReturnsDuringClaims::default(),
}

/// Lists the queue as paused, but lets claims return its jobs.
#[derive(Default)]
struct IgnoresPause(Mutex<BTreeSet<QueueName>>);

#[async_trait]
impl Mutation for IgnoresPause {
    async fn pause(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        sound.reached();
        self.0.lock().unwrap().insert(queue.clone());
        Ok(())
    }

    async fn resume(&self, _sound: &Sound, queue: &QueueName) -> Result<()> {
        self.0.lock().unwrap().remove(queue);
        Ok(())
    }

    async fn paused(&self, _sound: &Sound) -> Result<Vec<QueueName>> {
        Ok(self.0.lock().unwrap().iter().cloned().collect())
    }
}

struct PausesAllQueues;

#[async_trait]
impl Mutation for PausesAllQueues {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let paused = sound.backend.paused().await?;
        if paused.is_empty() || paused.contains(&request.queue) {
            return sound.backend.claim(request).await;
        }
        sound.reached();
        Ok(ClaimReply::default())
    }
}

/// Stores the pause in the handle instead of the storage.
#[derive(Default)]
struct PausesOwnHandle(Mutex<BTreeSet<(u64, QueueName)>>);

#[async_trait]
impl Mutation for PausesOwnHandle {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let is_paused = |handle: u64| {
            let paused = self.0.lock().unwrap();
            paused.iter().any(|(by, queue)| *by == handle && *queue == request.queue)
        };
        if is_paused(sound.handle) {
            return Ok(ClaimReply::default());
        }
        if (0..sound.handle).any(is_paused) {
            sound.reached();
        }
        sound.backend.claim(request).await
    }

    async fn pause(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        self.0.lock().unwrap().insert((sound.handle, queue.clone()));
        Ok(())
    }

    async fn resume(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        self.0.lock().unwrap().remove(&(sound.handle, queue.clone()));
        // The pause and resume of the inner backend send the wake-up of a resume.
        sound.backend.pause(queue).await?;
        sound.backend.resume(queue).await
    }

    async fn paused(&self, sound: &Sound) -> Result<Vec<QueueName>> {
        let paused = self.0.lock().unwrap();
        Ok(paused.iter().filter(|(by, _)| *by == sound.handle).map(|(_, queue)| queue.clone()).collect())
    }
}

/// Checks the pause first and takes jobs later, so that a pause returns during a claim.
#[derive(Default)]
struct ReturnsDuringClaims {
    paused: Mutex<BTreeSet<QueueName>>,
    pauses: AtomicU64,
}

#[async_trait]
impl Mutation for ReturnsDuringClaims {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        if self.paused.lock().unwrap().contains(&request.queue) {
            return Ok(ClaimReply::default());
        }
        let before = self.pauses.load(Ordering::SeqCst);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let is_paused = || self.pauses.load(Ordering::SeqCst) != before;
        if is_paused() {
            // Waits, so that the claim takes its jobs clearly after the pause returned.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let reply = sound.backend.claim(request).await;
        // The pause may also have returned after the check above.
        if is_paused() {
            sound.reached();
        }
        reply
    }

    async fn pause(&self, _sound: &Sound, queue: &QueueName) -> Result<()> {
        self.paused.lock().unwrap().insert(queue.clone());
        self.pauses.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn resume(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        self.paused.lock().unwrap().remove(queue);
        sound.backend.pause(queue).await?;
        sound.backend.resume(queue).await
    }

    async fn paused(&self, _sound: &Sound) -> Result<Vec<QueueName>> {
        Ok(self.paused.lock().unwrap().iter().cloned().collect())
    }
}
