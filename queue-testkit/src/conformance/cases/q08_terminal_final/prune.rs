//! Q8: only pruning by age removes a finished job, and nothing removes an unfinished one.

use std::time::Duration;

use queue_core::backend::{Prune, Verdict};
use queue_core::{JobId, JobState};

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

/// Keeps completed jobs for one hour, cancelled for two and dead for three, and ids no longer than
/// that.
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

/// Jobs of each final state reach their retention time. Each must be kept until then, and pruned
/// one tick later.
async fn q08_each_state_is_kept_for_its_own_time(kit: &Kit) -> CaseResult {
    let finished_at = kit.now();
    let mut left = vec![
        ended(kit, complete()).await?,
        ended(kit, cancelled("not wanted")).await?,
        ended(kit, bury("hopeless")).await?,
    ];
    for hours in 1..=3 {
        kit.set_clock(finished_at.saturating_add(HOUR * hours));
        ensure_eq!(kit.prune(prune()).await?.pruned, 0, "the number of jobs pruned at {hours} hours");
        kit.advance(TICK);
        ensure_eq!(kit.prune(prune()).await?.pruned, 1, "the number of jobs pruned one tick later");
        left.remove(0);
        ensure_eq!(kit.stored().await?.jobs, left, "the remaining jobs");
    }
    Ok(())
}

/// Scheduled, ready, running and retrying jobs are very old. No prune may remove them.
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
    ensure_eq!(kit.prune(none).await?.pruned, 0, "the number of jobs pruned");
    let expected = [
        (failing, JobState::Retrying),
        (running, JobState::Running),
        (ready, JobState::Ready),
        (scheduled, JobState::Scheduled),
    ];
    for (id, state) in expected {
        ensure_eq!(kit.state(id).await?, state, "the state of job {id}");
    }
    Ok(())
}

/// A job ended long ago, but its id is within the idempotency window. A prune must keep it until
/// the window has passed.
async fn q08_pruning_keeps_ids_of_the_idempotency_window(kit: &Kit) -> CaseResult {
    let old = ended(kit, complete()).await?;
    let young_id = kit.id_at(kit.now().saturating_add(HOUR * 10));
    let young = kit.insert_one(kit.spec("job").id(young_id)).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    let window = prune().idempotency_window(HOUR * 5);
    kit.advance(HOUR * 5);
    ensure_eq!(
        kit.prune(window.clone()).await?.pruned,
        0,
        "the number of jobs pruned with both ids within the window"
    );
    kit.advance(HOUR);
    ensure_eq!(
        kit.prune(window.clone()).await?.pruned,
        1,
        "the number of jobs pruned with one id within the window"
    );
    ensure_eq!(kit.find(old).await?, None, "the job with the old id");
    ensure_eq!(kit.state(young).await?, JobState::Completed, "the state of the job with the young id");
    kit.advance(HOUR * 10);
    ensure_eq!(kit.prune(window).await?.pruned, 1, "the number of jobs pruned with no id within the window");
    Ok(())
}

/// A job with a result and errors is pruned, and its id is inserted again. The new job must inherit
/// nothing.
async fn q08_pruning_takes_all_that_belongs_to_a_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let spec = kit.spec("job");
    let id = kit.insert_one(spec.clone()).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, retry("failed", 0)).await?;
    kit.settle_one(kit.claim_one(worker).await?.token, complete_with(b"old")).await?;
    kit.advance(HOUR * 2);
    ensure_eq!(kit.prune(prune()).await?.pruned, 1, "the number of jobs pruned");
    ensure_eq!(kit.find(id).await?, None, "the pruned job");
    kit.insert_one(spec).await?;
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Ready, 0), "the state and attempt of the new job");
    ensure_eq!((record.result, record.errors), (None, Vec::new()), "the result and errors of the new job");
    Ok(())
}

/// More jobs are old than the limit allows. Each prune must remove at most its limit, and repeated
/// prunes must remove all.
async fn q08_pruning_takes_at_most_its_limit(kit: &Kit) -> CaseResult {
    for _ in 0..5 {
        ended(kit, complete()).await?;
    }
    kit.advance(HOUR * 2);
    let mut pruned = Vec::new();
    for _ in 0..4 {
        pruned.push(kit.prune(prune().limit(2)).await?.pruned);
    }
    ensure_eq!(pruned, [2, 2, 1, 0], "the numbers of jobs pruned with limit 2");
    Ok(())
}
