//! Claims that wait for an insert are made wrongly, or stand in its way.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, InsertRequest, Manage as _, ParkedClaims, SettleRequest, Settlement,
    TakenClaim, Verdict,
};
use queue_core::{Backend as _, Result};

use crate::caught::mutants;
use crate::mutation::{Fates, Mutation, Sound};

mutants! {
    Q1 enters_nothing_if_the_parked_claim_fails => Parking::new(Wrong::Insert),
    Q3 gives_back_what_a_parked_claim_was_told_of => Parking::new(Wrong::Leases),
    Q7 forgets_the_last_attempts_of_a_parked_claim => Parking::new(Wrong::LastAttempts),
    Q14 makes_a_parked_claim_too_early => Parking::new(Wrong::Time),
    Q17 makes_a_parked_claim_on_a_paused_queue => Parking::new(Wrong::Pause),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Insert,
    Leases,
    LastAttempts,
    Time,
    Pause,
}

/// Makes parked claims by itself, after the insert.
struct Parking {
    wrong: Wrong,
    parked: ParkedClaims,
}

impl Parking {
    fn new(wrong: Wrong) -> Self {
        Self { wrong, parked: ParkedClaims::new() }
    }

    async fn claim(&self, sound: &Sound, claim: &TakenClaim) -> Result<ClaimReply> {
        let mut request = claim.request().clone();
        match self.wrong {
            Wrong::LastAttempts => request.last_attempts = request.limit,
            Wrong::Time => request.now = request.now.map(|now| now.saturating_add(Duration::from_secs(1))),
            Wrong::Pause => sound.backend.resume(&request.queue).await?,
            Wrong::Insert | Wrong::Leases => {}
        }
        let reply = sound.backend.claim(request.clone()).await?;
        if self.is_wrong(&reply, claim.request()) {
            sound.reached();
        }
        if self.wrong == Wrong::Leases {
            let release =
                |job: &queue_core::backend::ClaimedJob| Settlement::new(job.token, Verdict::Release);
            let mut settle = SettleRequest::new(request.worker, reply.jobs.iter().map(release).collect());
            settle.now = request.now;
            sound.backend.settle(settle).await?;
        }
        Ok(reply)
    }

    fn is_wrong(&self, reply: &ClaimReply, asked: &ClaimRequest) -> bool {
        match self.wrong {
            Wrong::LastAttempts => {
                let last = reply.jobs.iter().filter(|job| job.is_last_attempt()).count();
                u32::try_from(last).is_ok_and(|last| last > asked.last_attempts)
            }
            Wrong::Time => reply.jobs.iter().any(|job| asked.now.is_some_and(|now| job.run_at > now)),
            Wrong::Insert => false,
            Wrong::Leases | Wrong::Pause => !reply.jobs.is_empty(),
        }
    }
}

#[async_trait]
impl Mutation for Parking {
    fn parking<'a>(&'a self, _sound: &'a Sound) -> Option<&'a ParkedClaims> {
        Some(&self.parked)
    }

    async fn insert(&self, sound: &Sound, request: InsertRequest) -> Fates {
        let Some(claim) = self.parked.take(request.batches.iter().flatten(), request.now) else {
            return sound.backend.insert(request).await;
        };
        if self.wrong == Wrong::Insert
            && let Err(error) = sound.backend.claim(claim.request().clone()).await
        {
            sound.reached();
            claim.decline();
            return Err(error);
        }
        let fates = sound.backend.insert(request).await;
        let reply = self.claim(sound, &claim).await;
        claim.answer(reply);
        fates
    }
}
