//! Random cases name the promise whose check failed, which is mostly another than their own.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimReply, ClaimRequest, Inspect as _, JobRecord, MaintainReply,
    MaintainRequest, SettleRequest, Settled,
};
use queue_core::{Backend as _, JobId, Payload, Result};
use queue_testkit::conformance::Suite;

use crate::backend::{Make, Mutant};
use crate::caught::{CASE_TIMEOUT, SEED};
use crate::mutation::{Mutation, Sound};

/// A small fault of one operation.
#[derive(Debug, Clone, Copy)]
enum Fault {
    AnswersStaleSettles,
    CountsAttemptsTwice,
    PrunesTooMany,
    DeniesCancels,
    ForgetsResults,
    RescuesOneLess,
    ReversesClaims,
    ChangesPayloads,
}

/// The promise that each fault breaks.
const BROKEN: [(Make, &str); 8] = [
    (|| Arc::new(Fault::AnswersStaleSettles), "Q4 fenced-settle"),
    (|| Arc::new(Fault::CountsAttemptsTwice), "Q7 attempt-bound"),
    (|| Arc::new(Fault::PrunesTooMany), "Q8 terminal-final"),
    (|| Arc::new(Fault::DeniesCancels), "Q9 cancel-linearizable"),
    (|| Arc::new(Fault::ForgetsResults), "Q10 result-iff-complete"),
    (|| Arc::new(Fault::RescuesOneLess), "Q11 expiry-recovers"),
    (|| Arc::new(Fault::ReversesClaims), "Q13 priority-order"),
    (|| Arc::new(Fault::ChangesPayloads), "Q20 payload-fidelity"),
];

#[async_trait]
impl Mutation for Fault {
    async fn claim(&self, sound: &Sound, request: ClaimRequest) -> Result<ClaimReply> {
        let mut reply = sound.backend.claim(request).await?;
        match self {
            Self::ReversesClaims => reply.jobs.reverse(),
            Self::CountsAttemptsTwice => reply.jobs.iter_mut().for_each(|job| job.attempt += 1),
            Self::ChangesPayloads => {
                let changed = Payload::json("[]")?;
                reply.jobs.iter_mut().for_each(|job| job.payload = changed.clone());
            }
            _ => {}
        }
        Ok(reply)
    }

    async fn settle(&self, sound: &Sound, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        let replies = sound.backend.settle(request).await?;
        match self {
            Self::AnswersStaleSettles => Ok(replies.iter().map(|_| Ok(Settled::Done)).collect()),
            _ => Ok(replies),
        }
    }

    async fn cancel(&self, sound: &Sound, request: CancelRequest) -> Result<Vec<CancelReply>> {
        let replies = sound.backend.cancel(request).await?;
        match self {
            Self::DeniesCancels => Ok(replies.iter().map(|_| CancelReply::NotFound).collect()),
            _ => Ok(replies),
        }
    }

    async fn maintain(&self, sound: &Sound, request: MaintainRequest) -> Result<MaintainReply> {
        let mut reply = sound.backend.maintain(request).await?;
        match self {
            Self::PrunesTooMany if reply.pruned > 0 => reply.pruned += 1,
            Self::RescuesOneLess => reply.rescued = reply.rescued.saturating_sub(1),
            _ => {}
        }
        Ok(reply)
    }

    async fn jobs(&self, sound: &Sound, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = sound.backend.jobs(ids).await?;
        if matches!(self, Self::ForgetsResults) {
            records.iter_mut().flatten().for_each(|record| record.result = None);
        }
        Ok(records)
    }
}

#[test]
fn random_case_names_the_promise_of_the_failed_check() {
    for (make, promise) in BROKEN {
        let suite = Suite::new(Mutant { make, reached: Arc::new(AtomicU64::new(0)) }).unwrap();
        let suite = suite.with_seed(SEED).with_timeout(CASE_TIMEOUT);
        let report = suite.run("q04_random_operations_agree_with_the_model").unwrap_err().to_string();
        assert!(report.contains(&format!("\npromise {promise}: ")), "no {promise} in:\n{report}");
    }
}
