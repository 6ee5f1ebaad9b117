//! Q8: pruning keeps jobs to the microsecond, and passes those that it keeps.

use std::time::Duration;

use queue_core::JobId;
use queue_core::backend::{Prune, Verdict};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, bury, complete};
use crate::conformance::spec::Spec;

cases! {
    Fast q08_jobs_that_are_kept_use_up_no_limit_of_pruning,
    Fast q08_a_retention_counts_each_microsecond,
    Fast q08_the_longest_times_keep_every_job,
    Fast q08_pruning_counts_jobs_only [UniqueKeys],
    Fast q08_pruning_with_limit_zero_takes_nothing,
}

const SECOND: Duration = Duration::from_secs(1);

/// Removes each finished job as soon as it is older than zero.
fn everything() -> Prune {
    let zero = Duration::ZERO;
    Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero)
}

async fn ended(kit: &Kit, spec: Spec, verdict: Verdict) -> anyhow::Result<JobId> {
    let id = kit.insert_one(spec).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, verdict).await?;
    kit.advance(TICK);
    Ok(id)
}

/// The oldest jobs are kept, because of their ids or their state. A prune whose limit is their
/// number must remove the jobs behind them.
async fn q08_jobs_that_are_kept_use_up_no_limit_of_pruning(kit: &Kit) -> CaseResult {
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(ended(kit, kit.spec("job"), bury("hopeless")).await?);
        // An id of the future, which the idempotency window protects.
        let young = kit.id_at(kit.now().saturating_add(SECOND * 60));
        kept.push(ended(kit, kit.spec("job").id(young), complete()).await?);
    }
    for _ in 0..3 {
        ended(kit, kit.spec("job"), complete()).await?;
    }
    kit.advance(SECOND);
    let prune = everything().dead(SECOND * 60).limit(3);
    ensure_eq!(kit.prune(prune.clone()).await?.pruned, 3, "the number of jobs pruned with limit 3");
    kept.sort();
    ensure_eq!(kit.stored().await?.jobs, kept, "the remaining jobs");
    ensure_eq!(kit.prune(prune).await?.pruned, 0, "the number of jobs pruned then");
    Ok(())
}

/// Retentions and idempotency windows are longer or shorter than whole seconds and milliseconds by
/// one microsecond. A job must be kept until its last one.
async fn q08_a_retention_counts_each_microsecond(kit: &Kit) -> CaseResult {
    for micros in [1, 999, 1_001, 999_999, 1_000_001] {
        let time = Duration::from_micros(micros);
        for prune in [everything().completed(time), everything().completed(time).dead(time)] {
            // An old id, because ids have milliseconds only.
            let id = kit.id_at(kit.now().saturating_sub(SECOND));
            kit.insert_one(kit.spec("job").id(id)).await?;
            kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
            kit.advance(time);
            ensure_eq!(kit.prune(prune.clone()).await?.pruned, 0, "the jobs pruned after {micros} µs");
            kit.advance(TICK);
            ensure_eq!(kit.prune(prune).await?.pruned, 1, "the jobs pruned later than {micros} µs");
            ensure_eq!(kit.find(id).await?, None, "the pruned job");
        }
    }
    Ok(())
}

/// The retention or the idempotency window is the greatest duration. No prune may remove a job.
async fn q08_the_longest_times_keep_every_job(kit: &Kit) -> CaseResult {
    ended(kit, kit.spec("job"), complete()).await?;
    kit.advance(SECOND * 1_000_000);
    for time in [Duration::MAX, Duration::from_micros(u64::MAX), Duration::from_secs(u64::MAX / 1_000_000)] {
        for prune in [everything().completed(time), everything().idempotency_window(time)] {
            ensure_eq!(kit.prune(prune).await?.pruned, 0, "the number of jobs pruned with {time:?}");
        }
    }
    ensure_eq!(kit.prune(everything()).await?.pruned, 1, "the number of jobs pruned with zero");
    Ok(())
}

/// Pruned jobs have held unique keys. The reply must count the jobs, and nothing else.
async fn q08_pruning_counts_jobs_only(kit: &Kit) -> CaseResult {
    ended(kit, kit.spec("job").unique("a"), complete()).await?;
    ended(kit, kit.spec("job").unique_for("b", SECOND), complete()).await?;
    ended(kit, kit.spec("job").unique_for("c", SECOND * 100), complete()).await?;
    kit.advance(SECOND * 2);
    ensure_eq!(kit.prune(everything()).await?.pruned, 3, "the number of jobs pruned");
    ensure_eq!(kit.prune(everything()).await?.pruned, 0, "the number of jobs pruned then");
    kit.advance(SECOND * 100);
    ensure_eq!(kit.prune(everything()).await?.pruned, 0, "the number of jobs pruned at the end of the key");
    Ok(())
}

/// The limit of a prune is zero. It must remove nothing.
async fn q08_pruning_with_limit_zero_takes_nothing(kit: &Kit) -> CaseResult {
    let id = ended(kit, kit.spec("job"), complete()).await?;
    kit.advance(SECOND);
    ensure_eq!(kit.prune(everything().limit(0)).await?.pruned, 0, "the number of jobs pruned");
    ensure_eq!(kit.stored().await?.jobs, [id], "the stored jobs");
    Ok(())
}
