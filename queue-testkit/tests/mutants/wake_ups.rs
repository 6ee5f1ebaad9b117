//! Wake-ups that are missing, go to too few, or come too early.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ChangeSchedulesRequest, ClaimReply, ClaimRequest, InsertReply, InsertRequest,
    MaintainReply, MaintainRequest, Manage as _, RetryReply, RetryRequest, ScheduleChanged,
    ScheduleStore as _, SettleRequest, Settled, WakeHints, WakeHub, WakeReceiver,
};
use queue_core::{Backend as _, JobSpec, QueueName, Result, Timestamp};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q13 wakes_for_the_first_batch_only => Wakes::except(Fault::FirstBatch),
    Q13 wakes_the_first_receiver_only => Wakes::except(Fault::FirstReceiver),
    Q13 wakes_for_no_promotion => Wakes::except(Fault::Promotion),
    Q13 wakes_for_nothing_that_a_claim_promoted => Wakes::except(Fault::ClaimsPromotion),
    Q13 wakes_before_the_insert => Wakes::except(Fault::Early),
    Q13 wakes_before_a_retry_by_hand => Wakes::except(Fault::EarlyRetry),
    Q13 wakes_before_a_resume => Wakes::except(Fault::EarlyResume),
    Q13 wakes_for_no_retry_by_hand => Wakes::except(Fault::Retry),
    Q23 wakes_for_no_job_of_a_schedule => Wakes::except(Fault::Schedule),
    Q13 forgets_the_wake_up_of_a_dropped_insert => Wakes::except(Fault::Dropped("insert")),
    Q13 forgets_the_wake_up_of_a_dropped_claim => Wakes::except(Fault::Dropped("claim")),
    Q13 forgets_the_wake_up_of_a_dropped_release => Wakes::except(Fault::Dropped("settle")),
    Q13 forgets_the_wake_up_of_a_dropped_upkeep => Wakes::except(Fault::Dropped("maintain")),
    Q13 forgets_the_wake_up_of_a_dropped_retry => Wakes::except(Fault::Dropped("retry")),
    Q13 forgets_the_wake_up_of_a_dropped_resume => Wakes::except(Fault::Dropped("resume")),
    Q9 forgets_to_announce_a_dropped_signal => Wakes::except(Fault::Dropped("cancel")),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    FirstBatch,
    FirstReceiver,
    Promotion,
    ClaimsPromotion,
    Early,
    EarlyRetry,
    EarlyResume,
    Retry,
    Schedule,
    /// What this operation changed is announced by its future, a moment later.
    Dropped(&'static str),
}

/// Makes the announcements itself: exact ones for inserts, and unknown changes for all else.
struct Wakes {
    fault: Fault,
    hub: WakeHub,
    receivers: AtomicU64,
}

impl Wakes {
    fn except(fault: Fault) -> Self {
        Self { fault, hub: WakeHub::new(), receivers: AtomicU64::new(0) }
    }

    /// Announces an unknown change of an operation, unless that is the fault.
    async fn announce(&self, sound: &Sound, operation: &'static str, unless: Option<Fault>) {
        self.linger(sound, operation).await;
        if unless == Some(self.fault) {
            sound.reached();
        } else {
            self.hub.announce_unknown();
        }
    }

    async fn linger(&self, sound: &Sound, operation: &'static str) {
        if self.fault == Fault::Dropped(operation) {
            sound.reached();
            tokio::task::yield_now().await;
        }
    }
}

/// After an announcement that comes too early.
async fn wait_for_receivers(sound: &Sound) {
    sound.reached();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Mutation for Wakes {
    fn subscribe(&self, sound: &Sound) -> WakeReceiver {
        let number = self.receivers.fetch_add(1, Ordering::SeqCst);
        if self.fault == Fault::FirstReceiver && number > 0 {
            sound.reached();
            return WakeHub::new().subscribe();
        }
        self.hub.subscribe()
    }

    async fn change(
        &self,
        sound: &Sound,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let results = sound.backend.change(request).await?;
        self.announce(sound, "change", Some(Fault::Schedule)).await;
        Ok(results)
    }

    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Result<InsertReply> {
        let now = request.now.unwrap_or_else(Timestamp::now);
        let batches = request.batches.clone();
        if self.fault == Fault::Early {
            self.hub.announce_all(&WakeHints::of_inserted(batches.iter().flatten(), now));
            wait_for_receivers(sound).await;
            return sound.backend.insert(request).await;
        }
        let reply = sound.backend.insert(request).await?;
        let stored = batches.iter().zip(&reply.batches);
        let stored: Vec<&[JobSpec]> =
            stored.filter(|(_, result)| result.is_ok()).map(|(batch, _)| batch.as_slice()).collect();
        let announced = if self.fault == Fault::FirstBatch && stored.len() > 1 {
            sound.reached();
            &stored[..1]
        } else {
            &stored[..]
        };
        let hints = WakeHints::of_inserted(announced.iter().copied().flatten(), now);
        self.linger(sound, "insert").await;
        self.hub.announce_all(&hints);
        Ok(reply)
    }

    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let reply = sound.backend.claim(request).await?;
        if !reply.jobs.is_empty() {
            self.announce(sound, "claim", Some(Fault::ClaimsPromotion)).await;
        }
        Ok(reply)
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let replies = sound.backend.settle(request).await?;
        self.announce(sound, "settle", None).await;
        Ok(replies)
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let replies = sound.backend.cancel(request).await?;
        self.announce(sound, "cancel", None).await;
        Ok(replies)
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let reply = sound.backend.maintain(request).await?;
        if reply.promoted > 0 {
            self.announce(sound, "maintain", Some(Fault::Promotion)).await;
        }
        if reply.rescued + reply.died > 0 {
            self.announce(sound, "maintain", None).await;
        }
        Ok(reply)
    }

    async fn retry(&self, sound: &Sound, request: RetryRequest) -> Result<Vec<RetryReply>> {
        if self.fault == Fault::EarlyRetry {
            self.hub.announce_unknown();
            wait_for_receivers(sound).await;
            return sound.backend.retry(request).await;
        }
        let replies = sound.backend.retry(request).await?;
        self.announce(sound, "retry", Some(Fault::Retry)).await;
        Ok(replies)
    }

    async fn resume(&self, sound: &Sound, queue: &QueueName) -> Result<()> {
        if self.fault == Fault::EarlyResume {
            self.hub.announce_unknown();
            wait_for_receivers(sound).await;
            return sound.backend.resume(queue).await;
        }
        sound.backend.resume(queue).await?;
        self.announce(sound, "resume", None).await;
        Ok(())
    }
}
