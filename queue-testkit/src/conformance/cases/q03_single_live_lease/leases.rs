//! Q3: the leases of a claim, as a worker asks for them after a lost reply.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::InsertRequest;
use queue_core::{Attributes, Backoff};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, bury, complete};

cases! {
    Fast q03_leases_have_all_fields_of_the_claim,
    Fast q03_a_lost_worker_has_its_leases_until_they_are_taken,
}

/// Jobs have attributes, backoffs, priorities, times and, if the backend can, a retry by hand.
/// Their leases must equal the reply to the claim.
async fn q03_leases_have_all_fields_of_the_claim(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let retried = kit.insert_one(kit.spec("job").priority(7).max_retries(2)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, bury("hopeless")).await?;
    if kit.backend()?.extensions().manage.is_some() {
        kit.retry(retried).await?;
    }
    let mut batch = Vec::new();
    for index in 0..4_u8 {
        let earlier = kit.now().saturating_sub(Duration::from_micros(u64::from(index)));
        let spec = kit.spec("job").priority(i16::from(index % 2)).run_at(earlier).payload(index.to_string());
        let spec = spec.timeout(Duration::from_micros(1_000_001)).build()?;
        let backoff = Backoff::new(EXPIRY, EXPIRY * u32::from(index + 1)).with_jitter(index);
        batch.push(spec.backoff(backoff).attributes(Attributes::json(format!("{{\"index\":{index}}}"))?));
    }
    kit.backend()?.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches.remove(0)?;
    let jobs = kit.claim(worker, 9).await?;
    ensure!(jobs.len() >= 4, "only {} of 4 jobs were claimed", jobs.len());
    ensure_eq!(kit.leases(worker, jobs[0].token.claim).await?, jobs, "the leases");
    Ok(())
}

/// A rescue with limit 1 marks a worker lost, and takes one of its three leases. The others must be
/// listed and can be settled, until a rescue takes them.
async fn q03_a_lost_worker_has_its_leases_until_they_are_taken(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let held = kit.claim(worker, 3).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(1).await?.rescued, 1, "the number of jobs rescued with limit 1");
    let left = kit.leases(worker, held[0].token.claim).await?;
    ensure_eq!(left.len(), 2, "the number of leases left");
    kit.settle_one(left[0].token, complete()).await?;
    ensure_eq!(kit.leases(worker, held[0].token.claim).await?, left[1..], "the leases after a settle");
    ensure_eq!(kit.rescue(9).await?.rescued, 1, "the number of jobs rescued then");
    ensure_eq!(kit.leases(worker, held[0].token.claim).await?, [], "the leases after the rescue");
    Ok(())
}
