//! The claim of an insert is executed wrongly, or fails the insert.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, InsertReply, InsertRequest, Manage as _, SettleRequest, Settlement, Verdict,
};
use queue_core::{Backend as _, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q1 inserts_nothing_if_its_claim_fails => SeparateClaim(Wrong::Insert),
    Q3 gives_back_what_the_claim_of_an_insert_took => SeparateClaim(Wrong::Leases),
    Q7 forgets_the_last_attempts_of_the_claim_of_an_insert => SeparateClaim(Wrong::LastAttempts),
    Q14 makes_the_claim_of_an_insert_too_early => SeparateClaim(Wrong::Time),
    Q17 makes_the_claim_of_an_insert_on_a_paused_queue => SeparateClaim(Wrong::Pause),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Insert,
    Leases,
    LastAttempts,
    Time,
    Pause,
}

/// Executes the claim of an insert as a separate request after the insert.
struct SeparateClaim(Wrong);

impl SeparateClaim {
    async fn claim(&self, sound: &Sound, claim: &ClaimRequest) -> Result<ClaimReply> {
        let mut request = claim.clone();
        match self.0 {
            Wrong::LastAttempts => request.last_attempts = request.limit,
            Wrong::Time => request.now = request.now.map(|now| now.saturating_add(Duration::from_secs(1))),
            Wrong::Pause => sound.backend.resume(&request.queue).await?,
            Wrong::Insert | Wrong::Leases => {}
        }
        let reply = sound.backend.claim(request.clone()).await?;
        if self.is_wrong(&reply, claim) {
            sound.reached();
        }
        if self.0 == Wrong::Leases {
            let release =
                |job: &queue_core::backend::ClaimedJob| Settlement::new(job.token, Verdict::Release);
            let mut settle = SettleRequest::new(request.worker, reply.jobs.iter().map(release).collect());
            settle.now = request.now;
            sound.backend.settle(settle).await?;
        }
        Ok(reply)
    }

    fn is_wrong(&self, reply: &ClaimReply, asked: &ClaimRequest) -> bool {
        match self.0 {
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
impl Mutation for SeparateClaim {
    fn inserts_and_claims(&self) -> bool {
        true
    }

    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        let Some(claim) = request.claim.take() else { return sound.backend.insert(request).await };
        let mut claim = claim;
        claim.now = request.now;
        if self.0 == Wrong::Insert
            && let Err(error) = sound.backend.claim(claim.clone()).await
        {
            sound.reached();
            return Err(error);
        }
        let reply = sound.backend.insert(request).await?;
        let claimed = self.claim(sound, &claim).await;
        Ok(reply.claim(claimed))
    }
}
