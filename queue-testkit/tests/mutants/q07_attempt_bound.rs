//! Q7: attempts are counted wrongly.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ClaimReply, ClaimRequest, InsertReply, InsertRequest, JobRecord, SettleRequest, Settled, Verdict,
};
use queue_core::{Backend as _, JobId, Result};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

mutants! {
    Q7 charges_no_attempt_for_a_failure => ChangedVerdict(|verdict| match verdict {
        Verdict::Retry { delay, .. } => Some(Verdict::Snooze { delay: *delay }),
        _ => None,
    }),
    Q7 charges_a_release => ChangedVerdict(|verdict| match verdict {
        Verdict::Release => Some(Verdict::Retry { error: "released".to_owned(), delay: Duration::ZERO }),
        _ => None,
    }),
    Q7 charges_a_snooze => ChangedVerdict(|verdict| match verdict {
        Verdict::Snooze { delay } => Some(Verdict::Retry { error: "snoozed".to_owned(), delay: *delay }),
        _ => None,
    }),
    Q7 permits_one_attempt_more => OneAttemptMore,
    Q7 brings_any_number_of_last_attempts => IgnoresLastAttempts,
    Q7 keeps_no_record_of_failures => DropsErrors,
}

/// Replaces a verdict with another one.
struct ChangedVerdict(fn(&Verdict) -> Option<Verdict>);

#[async_trait]
impl Mutation for ChangedVerdict {
    async fn settle(&self, sound: &Sound, mut request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        for settlement in &mut request.settlements {
            if let Some(other) = self.0(&settlement.verdict) {
                sound.reached();
                settlement.verdict = other;
            }
        }
        sound.backend.settle(request).await
    }
}

struct OneAttemptMore;

#[async_trait]
impl Mutation for OneAttemptMore {
    async fn insert(&self, sound: &Sound, mut request: InsertRequest) -> Result<InsertReply> {
        for spec in request.batches.iter_mut().flatten() {
            sound.reached();
            spec.max_retries = spec.max_retries.saturating_add(1);
        }
        sound.backend.insert(request).await
    }
}

struct IgnoresLastAttempts;

#[async_trait]
impl Mutation for IgnoresLastAttempts {
    async fn claim(&self, sound: &Sound, mut request: ClaimRequest) -> Result<ClaimReply> {
        if request.last_attempts < request.limit {
            sound.reached();
            request.last_attempts = request.limit;
        }
        sound.backend.claim(request).await
    }
}

struct DropsErrors;

#[async_trait]
impl Mutation for DropsErrors {
    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::new();
        for id in ids {
            let mut record = sound.record(*id).await;
            if let Some(record) = record.as_mut().filter(|record| !record.errors.is_empty()) {
                sound.reached();
                record.errors.clear();
            }
            records.push(record);
        }
        Ok(records)
    }
}
