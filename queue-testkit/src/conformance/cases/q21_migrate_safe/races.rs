//! Q21: handles that open a storage concurrently agree on one schema and lose no data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use queue_core::JobState;
use queue_core::backend::Stored;

use crate::conformance::audit::check_rows;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{Session, bury, complete, complete_with, retry};

cases! {
    Race q21_a_fresh_storage_opened_by_many_at_once_serves_all [Migrations, MultiProcess],
    Race q21_a_storage_with_jobs_opened_by_many_at_once_keeps_them [Migrations, Durable, MultiProcess],
    Race q21_opening_disturbs_nobody_who_works [Migrations, MultiProcess],
}

/// Eight handles open an empty storage concurrently. Each must work, and each must see the jobs of
/// the others.
async fn q21_a_fresh_storage_opened_by_many_at_once_serves_all(kit: &Kit) -> CaseResult {
    for round in 0..4 {
        let opened = kit.open_fresh_at_once(8).await?;
        let work = |handle: &Arc<Session>| {
            let handle = Arc::clone(handle);
            async move {
                let id = handle.insert_one(handle.spec("job").queue("left")).await?;
                handle.works().await?;
                Ok(id)
            }
        };
        let mut ids = race(opened.handles.iter().map(work).collect()).await?;
        ids.sort();
        for handle in &opened.handles {
            let stored = handle.stored().await?;
            let live: Vec<_> = stored.live.iter().map(|row| row.id).collect();
            ensure_eq!(live, ids, "round {round}, the jobs that one of the handles sees");
            check_rows(&stored, &BTreeMap::new()).with_context(|| format!("round {round}"))?;
        }
        let worker = opened.handles[0].worker().await?;
        let reply = opened.handles[0].claiming(worker, 20).queue("left").take().await?;
        ensure_eq!(
            reply.jobs.len(),
            8,
            "round {round}, the number of jobs of all handles that one handle claims"
        );
    }
    Ok(())
}

/// Eight handles open a storage with jobs of each state concurrently. Each row must be unchanged,
/// and the waiting jobs must be claimable.
async fn q21_a_storage_with_jobs_opened_by_many_at_once_keeps_them(kit: &Kit) -> CaseResult {
    jobs_of_every_state(kit).await?;
    let before = kit.stored().await?;
    let opened = kit.reopen_at_once(8).await?;
    for handle in &opened.handles {
        same_rows(&handle.stored().await?, &before)?;
        handle.works().await?;
    }
    kit.advance(Duration::from_secs(60));
    let worker = kit.worker().await?;
    ensure_eq!(
        kit.claim(worker, 9).await?.len(),
        2,
        "the number of claimable jobs: the ready and the retrying one"
    );
    Ok(())
}

pub(super) async fn jobs_of_every_state(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(Duration::from_secs(3600)).await?;
    for verdict in [complete_with(b"\0"), bury("hopeless"), retry("failed", 60)] {
        kit.insert_one(kit.spec("job")).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
    }
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(worker).await?;
    let cancelled = kit.insert_one(kit.spec("job")).await?;
    kit.cancel(cancelled).await?;
    let later = kit.now().saturating_add(Duration::from_secs(3600));
    kit.insert(vec![kit.spec("job"), kit.spec("job").run_at(later)]).await?;
    Ok(())
}

pub(super) fn same_rows(seen: &Stored, expected: &Stored) -> CaseResult {
    let known = |stored: &Stored| {
        let live: Vec<_> =
            stored.live.iter().filter(|row| row.queue.as_str() == "default").cloned().collect();
        let is_old = |id| expected.jobs.contains(&id);
        let outcomes: Vec<_> = stored.outcomes.iter().filter(|row| is_old(row.id)).cloned().collect();
        (live, outcomes)
    };
    ensure_eq!(known(seen), known(expected), "the rows of the jobs stored before");
    Ok(())
}

/// One handle inserts and completes jobs while twelve other handles open the storage and work. All
/// jobs must complete.
async fn q21_opening_disturbs_nobody_who_works(kit: &Kit) -> CaseResult {
    let handle = kit.handle();
    let working = tokio::spawn(async move {
        let worker = handle.worker().await?;
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.push(handle.insert_one(handle.spec("job")).await?);
            let job = handle.claim_one(worker).await?;
            handle.settle_one(job.token, complete()).await?;
        }
        anyhow::Ok(ids)
    });
    for _ in 0..3 {
        let opened = kit.open_more_at_once(4).await?;
        for handle in &opened.handles {
            handle.works().await?;
        }
    }
    for id in working.await?? {
        ensure_eq!(kit.state(id).await?, JobState::Completed, "the state of job {id}");
    }
    Ok(())
}
