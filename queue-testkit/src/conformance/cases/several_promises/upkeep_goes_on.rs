//! Q8, Q11, Q14: upkeep goes on where it stopped, also in a handle that was opened again.

use std::time::Duration;

use queue_core::backend::Prune;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK};

cases! {
    Fast q08_pruning_goes_on_after_a_reopen [Durable],
    Fast q11_a_rescue_goes_on_after_a_reopen [Durable],
    Fast q14_a_promotion_goes_on_after_a_reopen [Durable],
}

/// Three jobs ended. A prune takes the first, and each next one takes another in a handle that was
/// opened again. A job that is older than all of them, and ended later, must be found too.
async fn q08_pruning_goes_on_after_a_reopen(kit: &Kit) -> CaseResult {
    let zero = Duration::ZERO;
    let prune = Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero).limit(1);
    let oldest = kit.insert_one(kit.spec("job")).await?;
    let jobs = kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    for job in jobs.into_iter().chain([oldest]) {
        kit.advance(TICK);
        kit.cancel(job).await?;
    }
    kit.advance(Duration::from_secs(1));
    for turn in 1..=4 {
        ensure_eq!(kit.prune(prune.clone()).await?.pruned, 1, "the number of jobs pruned in turn {turn}");
        kit.reopen().await?;
    }
    ensure_eq!(kit.stored().await?.jobs, [], "the stored jobs");
    Ok(())
}

/// A lost worker has three leases. Each rescue takes one, in a handle that was opened again.
async fn q11_a_rescue_goes_on_after_a_reopen(kit: &Kit) -> CaseResult {
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    kit.claim(kit.worker().await?, 3).await?;
    kit.advance(EXPIRY);
    for turn in 1..=3 {
        ensure_eq!(kit.rescue(1).await?.rescued, 1, "the number of jobs rescued in turn {turn}");
        kit.reopen().await?;
    }
    ensure_eq!(kit.rescue(1).await?.rescued, 0, "the number of jobs rescued then");
    Ok(())
}

/// Three jobs are due. Each promotion takes one, in a handle that was opened again. A job that is
/// due earlier, and was inserted in between, must be found too.
async fn q14_a_promotion_goes_on_after_a_reopen(kit: &Kit) -> CaseResult {
    let start = kit.now();
    let at = |seconds| start.saturating_add(Duration::from_secs(seconds));
    kit.insert([5, 6, 7].map(|seconds| kit.spec("job").run_at(at(seconds))).to_vec()).await?;
    kit.set_clock(at(8));
    ensure_eq!(kit.promote(1).await?.promoted, 1, "the number of jobs promoted first");
    kit.set_clock(start);
    kit.insert_one(kit.spec("job").run_at(at(1))).await?;
    kit.set_clock(at(8));
    for turn in 1..=3 {
        kit.reopen().await?;
        ensure_eq!(kit.promote(1).await?.promoted, 1, "the number of jobs promoted in turn {turn}");
    }
    ensure_eq!(kit.promote(1).await?.promoted, 0, "the number of jobs promoted then");
    Ok(())
}
