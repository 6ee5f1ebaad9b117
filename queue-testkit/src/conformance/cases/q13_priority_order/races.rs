//! Q13: concurrent claims, and wake-ups beside their inserts.

use std::cmp::Reverse;
use std::sync::Arc;

use anyhow::ensure;
use queue_core::JobState;
use queue_core::backend::{ClaimedJob, Wakes};

use super::head_order::{ids, scattered};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::release;
use crate::conformance::wakes::announced;

cases! {
    Race q13_claims_at_the_same_time_are_each_in_order,
    Race q13_a_wake_up_comes_after_its_job,
    Race q13_a_wake_up_of_a_released_job_comes_after_its_release,
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

/// A worker waits for a wake-up while a job is inserted, and looks for the job at once. It must be
/// there.
async fn q13_a_wake_up_comes_after_its_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..40_i16 {
        let mut receiver = kit.backend()?.subscribe();
        let spec = kit.spec("job").priority(round);
        let id = spec.clone().build()?.id;
        let inserting = Arc::clone(&handles[0]);
        let insert = tokio::spawn(async move { inserting.insert_one(spec).await });
        let names_it = |wakes: &Wakes| wakes.ready.iter().any(|hint| hint.priority == round);
        let wakes = announced(&mut receiver, names_it).await?;
        let found = kit.find(id).await?;
        ensure!(
            found.is_some() || wakes.unknown,
            "round {round}: the wake-up of a job came before the job: {wakes:?}"
        );
        insert.await??;
    }
    Ok(())
}

/// A worker waits for a wake-up while a job is released, and looks at the job at once. It must be
/// ready.
async fn q13_a_wake_up_of_a_released_job_comes_after_its_release(kit: &Kit) -> CaseResult {
    let (handles, worker) = (kit.handles(2).await?, kit.worker().await?);
    for round in 0..40_i16 {
        let id = kit.insert_one(kit.spec("job").priority(round)).await?;
        let token = kit.claim_one(worker).await?.token;
        let mut receiver = kit.backend()?.subscribe();
        let releasing = Arc::clone(&handles[0]);
        let release = tokio::spawn(async move { releasing.settle_one(token, release()).await });
        let names_it = |wakes: &Wakes| wakes.ready.iter().any(|hint| hint.priority == round);
        let wakes = announced(&mut receiver, names_it).await?;
        let state = kit.state(id).await?;
        ensure!(
            state == JobState::Ready || wakes.unknown,
            "round {round}: the wake-up came while the job was {state}: {wakes:?}"
        );
        release.await??;
        kit.cancel(id).await?;
    }
    Ok(())
}
