//! Q4: only the live token of a job settles it.

use anyhow::ensure;
use queue_core::State;
use queue_core::backend::Settled;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete};

cases! {
    Fast q04_the_token_of_a_rescued_lease_is_lost,
}

/// A worker that was given up comes back with its result after another claimed the job.
async fn q04_the_token_of_a_rescued_lease_is_lost(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let slow = kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let second = kit.claim_one(kit.worker().await?).await?;
    ensure!(second.token != slow.token, "two claims have the same token");

    ensure_eq!(kit.settle_one(slow.token, complete()).await?, Settled::LeaseLost, "the late settle");
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (State::Running, 2), "the job after the late settle");
    ensure_eq!(kit.settle_one(second.token, complete()).await?, Settled::Done, "the holder's settle");
    Ok(())
}
