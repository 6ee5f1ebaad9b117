//! Q8: only age removes a finished job, and never an unfinished one.

use std::time::Duration;

use queue_core::backend::{Prune, Verdict};
use queue_core::{JobId, State};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, bury, cancelled, complete, complete_with, retry};

cases! {
    Fast q08_each_state_is_kept_for_its_own_time,
    Fast q08_pruning_never_takes_an_unfinished_job,
    Fast q08_pruning_keeps_ids_of_the_idempotency_window,
    Fast q08_pruning_takes_all_that_belongs_to_a_job,
    Fast q08_pruning_takes_at_most_its_limit,
}

const HOUR: Duration = Duration::from_secs(3600);

/// Keeps jobs for one, two and three hours, and no id for longer.
fn prune() -> Prune {
    Prune::default()
        .completed(HOUR)
        .cancelled(HOUR * 2)
        .dead(HOUR * 3)
        .idempotency_window(Duration::ZERO)
        .limit(100)
}

async fn ended(kit: &Kit, verdict: Verdict) -> anyhow::Result<JobId> {
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, verdict).await?;
    Ok(id)
}

/// Kept while it ended no longer ago than its time, gone a tick later.
async fn q08_each_state_is_kept_for_its_own_time(kit: &Kit) -> CaseResult {
    let finished_at = kit.now();
    let mut left = vec![
        ended(kit, complete()).await?,
        ended(kit, cancelled("not wanted")).await?,
        ended(kit, bury("hopeless")).await?,
    ];
    for hours in 1..=3 {
        kit.set_clock(finished_at.saturating_add(HOUR * hours));
        ensure_eq!(kit.prune(prune()).await?.pruned, 0, "jobs pruned at {hours} hours");
        kit.advance(TICK);
        ensure_eq!(kit.prune(prune()).await?.pruned, 1, "jobs pruned a tick later");
        left.remove(0);
        ensure_eq!(kit.stored().await?.jobs, left, "the jobs that are left");
    }
    Ok(())
}

/// However old it is: scheduled, ready, running, retrying.
async fn q08_pruning_never_takes_an_unfinished_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let later = kit.now().saturating_add(HOUR * 100_000);
    let failing = kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 1_000_000_000)).await?;
    let running = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(worker).await?;
    let ready = kit.insert_one(kit.spec("job")).await?;
    let scheduled = kit.insert_one(kit.spec("job").run_at(later)).await?;
    kit.advance(HOUR * 10_000);
    let none = prune().completed(Duration::ZERO).cancelled(Duration::ZERO).dead(Duration::ZERO);
    ensure_eq!(kit.prune(none).await?.pruned, 0, "jobs pruned");
    let expected = [
        (failing, State::Retrying),
        (running, State::Running),
        (ready, State::Ready),
        (scheduled, State::Scheduled),
    ];
    for (id, state) in expected {
        ensure_eq!(kit.state(id).await?, state, "the state of job {id}");
    }
    Ok(())
}

/// The age of an id is in the id: a job that ended long ago is kept while its id could be used again.
async fn q08_pruning_keeps_ids_of_the_idempotency_window(kit: &Kit) -> CaseResult {
    let old = ended(kit, complete()).await?;
    let young_id = kit.id_at(kit.now().saturating_add(HOUR * 10));
    let young = kit.insert_one(kit.spec("job").id(young_id)).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    let window = prune().idempotency_window(HOUR * 5);
    kit.advance(HOUR * 5);
    ensure_eq!(kit.prune(window.clone()).await?.pruned, 0, "jobs pruned with both ids in the window");
    kit.advance(HOUR);
    ensure_eq!(kit.prune(window.clone()).await?.pruned, 1, "jobs pruned with one id in the window");
    ensure_eq!(kit.find(old).await?, None, "the job with the old id");
    ensure_eq!(kit.state(young).await?, State::Completed, "the job with the young id");
    kit.advance(HOUR * 10);
    ensure_eq!(kit.prune(window).await?.pruned, 1, "jobs pruned with no id in the window");
    Ok(())
}

/// Nothing of it haunts a later job with the same id.
async fn q08_pruning_takes_all_that_belongs_to_a_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let spec = kit.spec("job");
    let id = kit.insert_one(spec.clone()).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete_with(b"old")).await?;
    kit.advance(HOUR * 2);
    ensure_eq!(kit.prune(prune()).await?.pruned, 1, "jobs pruned");
    ensure_eq!(kit.find(id).await?, None, "the pruned job");
    kit.insert_one(spec).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (State::Ready, 0), "the new job");
    ensure_eq!((record.result, record.errors), (None, Vec::new()), "what it inherits");
    Ok(())
}

/// Bounded pieces that come to an end.
async fn q08_pruning_takes_at_most_its_limit(kit: &Kit) -> CaseResult {
    for _ in 0..5 {
        ended(kit, complete()).await?;
    }
    kit.advance(HOUR * 2);
    let mut pruned = Vec::new();
    for _ in 0..4 {
        pruned.push(kit.prune(prune().limit(2)).await?.pruned);
    }
    ensure_eq!(pruned, [2, 2, 1, 0], "jobs pruned, two at most each time");
    Ok(())
}
