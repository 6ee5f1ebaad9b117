//! Times and durations that are too coarse, missing, or those of another row.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest, InsertReply,
    InsertRequest, MaintainReply, MaintainRequest, RegisterRequest, SettleRequest, Settled, Verdict,
};
use queue_core::{Backend as _, Result, Timestamp, UniqueKey};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q8 keeps_jobs_for_whole_seconds => Coarse(Fault::Retention),
    Q11 has_deadlines_of_whole_seconds => Coarse(Fault::Timeout),
    Q12 has_expiries_of_whole_seconds => Coarse(Fault::Expiry),
    Q14 waits_whole_seconds => Coarse(Fault::Delay),
    Q14 promotes_what_is_due_within_the_millisecond => Coarse(Fault::Promotion),
    Q15 keeps_keys_for_whole_milliseconds => Coarse(Fault::Keep),
    Q14 claims_at_the_end_of_time_without_a_time => Timeless(Timestamp::MAX),
    Q12 extends_nothing_without_a_time => Timeless(Timestamp::UNIX_EPOCH),
    Q20 ends_jobs_at_the_epoch_without_a_time => Timeless(Timestamp::UNIX_EPOCH),
    Q14 names_the_next_job_of_upkeep_too_late => Late(Reply::Upkeep),
    Q14 names_the_next_job_of_a_heartbeat_too_late => Late(Reply::Heartbeat),
    Q14 names_the_next_job_of_a_claim_too_late => Late(Reply::Claim),
}

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Retention,
    Timeout,
    Expiry,
    Delay,
    Promotion,
    Keep,
}

/// Cuts one kind of durations.
struct Coarse(Fault);

impl Coarse {
    fn cut(&self, sound: &Sound, fault: Fault, duration: &mut Duration) {
        let fraction = Duration::from_nanos(duration.subsec_nanos().into());
        if self.0 == fault && !fraction.is_zero() {
            sound.reached();
            *duration -= fraction;
        }
    }
}

#[async_trait]
impl Mutation for Coarse {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        for spec in request.batches.iter_mut().flatten() {
            self.cut(sound, Fault::Timeout, &mut spec.timeout);
            if let Some(unique) = spec.unique.as_ref().filter(|_| self.0 == Fault::Keep) {
                let micros = unique.keep().subsec_micros() % 1000;
                let keep = unique.keep() - Duration::from_micros(micros.into());
                if keep != unique.keep() {
                    sound.reached();
                    spec.unique = Some(UniqueKey::new(unique.as_str(), keep)?);
                }
            }
        }
        sound.backend.insert(request).await
    }

    async fn register(&self, sound: &Sound, mut request: RegisterRequest) -> Result<()> {
        self.cut(sound, Fault::Expiry, &mut request.expiry);
        sound.backend.register(request).await
    }

    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Verdict::Retry { delay, .. } | Verdict::Snooze { delay } = &mut settlement.verdict {
                self.cut(sound, Fault::Delay, delay);
            }
        }
        sound.backend.settle(request).await
    }

    async fn maintain(&self, sound: &Sound, mut request: MaintainRequest) -> Result<MaintainReply> {
        if let Some(prune) = &mut request.prune {
            self.cut(sound, Fault::Retention, &mut prune.completed);
        }
        if self.0 == Fault::Promotion && request.promote > 0 {
            sound.reached();
            request.now = request.now.map(|now| now.saturating_add(Duration::from_micros(999)));
        }
        sound.backend.maintain(request).await
    }
}

/// Takes this time for that of a request without one.
struct Timeless(Timestamp);

impl Timeless {
    fn time(&self, sound: &Sound, now: &mut Option<Timestamp>) {
        if now.is_none() {
            sound.reached();
            *now = Some(self.0);
        }
    }
}

#[async_trait]
impl Mutation for Timeless {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        self.time(sound, &mut request.now);
        sound.backend.claim(request).await
    }

    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.time(sound, &mut request.now);
        sound.backend.settle(request).await
    }

    async fn cancel(&self, sound: &Sound, mut request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.time(sound, &mut request.now);
        sound.backend.cancel(request).await
    }

    async fn heartbeat(&self, sound: &Sound, mut request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.time(sound, &mut request.now);
        sound.backend.heartbeat(request).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Upkeep,
    Heartbeat,
    Claim,
}

/// Names a time that is later than that of the first job, so that workers sleep too long.
struct Late(Reply);

impl Late {
    fn delay(&self, sound: &Sound, reply: Reply, due: &mut Option<Duration>) {
        if let Some(due) = due.as_mut().filter(|_| self.0 == reply) {
            sound.reached();
            *due += SECOND;
        }
    }
}

#[async_trait]
impl Mutation for Late {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        self.delay(sound, Reply::Claim, &mut reply.next_due);
        Ok(reply)
    }

    async fn heartbeat(&self, sound: &Sound, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        let mut reply = sound.backend.heartbeat(request).await?;
        self.delay(sound, Reply::Heartbeat, &mut reply.next_due);
        Ok(reply)
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let mut reply = sound.backend.maintain(request).await?;
        self.delay(sound, Reply::Upkeep, &mut reply.next_due);
        Ok(reply)
    }
}
