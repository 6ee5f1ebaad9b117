//! Q13: concurrent claims.

use std::cmp::Reverse;
use std::sync::Arc;

use anyhow::ensure;
use queue_core::backend::ClaimedJob;

use super::head_order::{ids, scattered};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;

cases! {
    Race q13_claims_at_the_same_time_are_each_in_order,
}

/// Six workers claim concurrently. Each reply must be in claim order, and each job must be in
/// exactly one reply.
async fn q13_claims_at_the_same_time_are_each_in_order(kit: &Kit) -> CaseResult {
    let expected = scattered(kit).await?;
    let handles = kit.handles(2).await?;
    let mut tasks = Vec::new();
    for task in 0..6 {
        let (handle, worker) = (Arc::clone(&handles[task % 2]), kit.worker().await?);
        tasks.push(async move { handle.claim(worker, 10).await });
    }
    let mut seen = Vec::new();
    for jobs in race(tasks).await? {
        let place = |job: &ClaimedJob| (Reverse(job.priority), job.run_at, job.token.job);
        ensure!(jobs.is_sorted_by_key(place), "a reply is not in claim order: {:?}", ids(&jobs));
        seen.extend(ids(&jobs));
    }
    // Concurrent claims may skip each other's jobs and return fewer than the limit.
    let worker = kit.worker().await?;
    seen.extend(ids(&kit.claim(worker, 60).await?));
    let mut expected = expected;
    expected.sort();
    seen.sort();
    ensure_eq!(seen, expected, "the jobs of all claims");
    Ok(())
}
