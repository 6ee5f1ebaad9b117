//! Requests whose future is dropped take effect late, or by halves.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, InsertReply,
    InsertRequest, MaintainReply, MaintainRequest, Manage as _, RegisterRequest, RetireRequest, RetryReply,
    RetryRequest, SettleRequest, Settled,
};
use queue_core::{Backend as _, MemoryBackend, QueueName, Result};
use tokio::time::sleep;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q22 makes_a_dropped_insert_late => Late("insert"),
    Q22 makes_a_dropped_claim_late => Late("claim"),
    Q22 makes_a_dropped_settle_late => Late("settle"),
    Q22 makes_a_dropped_cancel_late => Late("cancel"),
    Q22 makes_a_dropped_registration_late => Late("register"),
    Q22 makes_a_dropped_heartbeat_late => Late("heartbeat"),
    Q22 makes_a_dropped_retirement_late => Late("retire"),
    Q22 makes_a_dropped_rescue_late => Late("rescue"),
    Q22 makes_a_dropped_promotion_late => Late("promote"),
    Q22 makes_a_dropped_prune_late => Late("prune"),
    Q22 makes_a_dropped_retry_late => Late("retry"),
    Q22 makes_a_dropped_pause_late => Late("pause"),
    Q22 makes_a_dropped_resume_late => Late("resume"),
    Q22 makes_half_of_a_dropped_claim => Halves,
    Q22 makes_half_of_a_dropped_settle => HalvesOfSettles,
    Q22 makes_half_of_a_dropped_cancel => HalvesOfCancels,
    Q22 makes_half_of_a_dropped_rescue => HalvesOfRescues,
    Q22 stores_half_of_the_progress_of_a_dropped_heartbeat => HalvesOfReports,
}

/// The time after which the effect of a dropped request comes.
const LATE: Duration = Duration::from_millis(5);

/// Sends the requests of one operation from a task of their own, which a drop does not stop, and
/// which later requests overtake.
struct Late(&'static str);

impl Late {
    async fn run<T, F>(
        &self,
        sound: &Sound,
        operation: &'static str,
        request: impl FnOnce(MemoryBackend) -> F,
    ) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let request = request(sound.backend.clone());
        if operation != self.0 {
            return request.await;
        }
        sound.reached();
        let late = async {
            sleep(LATE).await;
            request.await
        };
        tokio::spawn(late).await.unwrap()
    }
}

#[async_trait]
impl Mutation for Late {
    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        self.run(sound, "insert", |backend| async move { backend.insert(request).await }).await
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        self.run(sound, "claim", |backend| async move { backend.claim(request).await }).await
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.run(sound, "settle", |backend| async move { backend.settle(request).await }).await
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.run(sound, "cancel", |backend| async move { backend.cancel(request).await }).await
    }

    async fn register(&self, sound: &Sound, request: RegisterRequest) -> Result<()> {
        self.run(sound, "register", |backend| async move { backend.register(request).await }).await
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.run(sound, "heartbeat", |backend| async move { backend.heartbeat(request).await }).await
    }

    async fn retire(&self, sound: &Sound, request: RetireRequest) -> Result<()> {
        self.run(sound, "retire", |backend| async move { backend.retire(request).await }).await
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let part = match &request {
            request if request.rescue > 0 => "rescue",
            request if request.promote > 0 => "promote",
            _ => "prune",
        };
        self.run(sound, part, |backend| async move { backend.maintain(request).await }).await
    }

    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.run(sound, "retry", |backend| async move { backend.retry(request).await }).await
    }

    async fn pause(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.run(sound, "pause", |backend| async move { backend.pause(&queue).await }).await
    }

    async fn resume(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        let queue = queue.clone();
        self.run(sound, "resume", |backend| async move { backend.resume(&queue).await }).await
    }
}

/// Claims in two transactions.
struct Halves;

#[async_trait]
impl Mutation for Halves {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        if request.limit < 2 || request.last_attempts < request.limit {
            return sound.backend.claim(request).await;
        }
        sound.reached();
        let mut first = request.clone();
        first.limit /= 2;
        let mut reply = sound.backend.claim(first).await?;
        tokio::task::yield_now().await;
        let mut rest = request;
        rest.limit -= rest.limit / 2;
        let rest = sound.backend.claim(rest).await?;
        reply.jobs.extend(rest.jobs);
        reply.next_due = rest.next_due;
        Ok(reply)
    }
}

/// Settles each lease in a transaction of its own.
struct HalvesOfSettles;

#[async_trait]
impl Mutation for HalvesOfSettles {
    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let mut replies = Vec::new();
        for settlement in request.settlements {
            sound.reached();
            let mut one = SettleRequest::new(request.worker, vec![settlement]);
            one.now = request.now;
            replies.extend(sound.backend.settle(one).await?);
            tokio::task::yield_now().await;
        }
        Ok(replies)
    }
}

/// Cancels each job in a transaction of its own.
struct HalvesOfCancels;

#[async_trait]
impl Mutation for HalvesOfCancels {
    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let mut replies = Vec::new();
        for job in &request.jobs {
            sound.reached();
            let mut one = request.clone();
            one.jobs = vec![*job];
            replies.extend(sound.backend.cancel(one).await?);
            tokio::task::yield_now().await;
        }
        Ok(replies)
    }
}

/// Rescues each job in a transaction of its own.
struct HalvesOfRescues;

#[async_trait]
impl Mutation for HalvesOfRescues {
    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let mut all = MaintainReply::default();
        let mut one = request.clone();
        for _ in 0..request.rescue.min(100) {
            sound.reached();
            one.rescue = 1;
            let reply = sound.backend.maintain(one.clone()).await?;
            all.workers_lost += reply.workers_lost;
            if reply.rescued + reply.died == 0 {
                break;
            }
            all.rescued += reply.rescued;
            all.died += reply.died;
            all.ready.extend(reply.ready);
            tokio::task::yield_now().await;
        }
        one.rescue = 0;
        let rest = sound.backend.maintain(one).await?;
        all.promoted = rest.promoted;
        all.pruned = rest.pruned;
        all.ready.extend(rest.ready);
        Ok(all)
    }
}

/// Stores each report of a heartbeat in a transaction of its own.
struct HalvesOfReports;

#[async_trait]
impl Mutation for HalvesOfReports {
    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        for report in &request.progress {
            sound.reached();
            let mut one = request.clone();
            one.progress = vec![report.clone()];
            sound.backend.heartbeat(one).await?;
            tokio::task::yield_now().await;
        }
        let mut rest = request;
        rest.progress.clear();
        sound.backend.heartbeat(rest).await
    }
}
