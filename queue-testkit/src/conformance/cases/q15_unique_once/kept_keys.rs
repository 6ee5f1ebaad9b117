//! Q15: how long a completed job holds its key.

use std::time::Duration;

use anyhow::Context as _;
use queue_core::backend::Prune;
use queue_core::{ErrorKind, Insertion};

use super::fast::insert;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, complete};

cases! {
    Fast q15_a_kept_key_counts_each_microsecond [UniqueKeys],
    Fast q15_the_longest_time_keeps_a_key [UniqueKeys],
    Fast q15_a_duplicate_prolongs_no_kept_key [UniqueKeys],
    Fast q15_a_job_without_its_key_is_known [UniqueKeys],
    Fast q15_a_prune_ends_no_kept_key_early [UniqueKeys],
    Fast q15_a_key_is_a_part_of_the_content [UniqueKeys],
}

const SECOND: Duration = Duration::from_secs(1);

/// Removes every finished job and everything that has passed.
async fn prune_all(kit: &Kit) -> CaseResult {
    let zero = Duration::ZERO;
    kit.prune(Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero)).await?;
    Ok(())
}

/// Inserts and completes a job that keeps its key for this long.
async fn completed(kit: &Kit, keep: Duration) -> anyhow::Result<queue_core::JobId> {
    let id = kit.insert_one(kit.spec("job").unique_for("a", keep)).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    Ok(id)
}

/// Fails unless an insert with the key is a duplicate, or new.
async fn inserts_as(kit: &Kit, expected: Insertion, when: &str) -> CaseResult {
    let reply = insert(kit, kit.spec("job").unique("a")).await?;
    ensure_eq!(reply.insertion, expected, "the reply to an insert {when}");
    if reply.is_new() {
        kit.cancel(reply.id).await?;
    }
    Ok(())
}

/// Keys are kept for times that are longer or shorter than whole seconds and milliseconds by one
/// microsecond. Each must be free at its own microsecond.
async fn q15_a_kept_key_counts_each_microsecond(kit: &Kit) -> CaseResult {
    for micros in [1, 999, 1_001, 999_999, 1_000_001] {
        let keep = Duration::from_micros(micros);
        completed(kit, keep).await?;
        kit.advance(keep - TICK);
        inserts_as(kit, Insertion::Duplicate, &format!("one tick before {micros} µs")).await?;
        kit.advance(TICK);
        inserts_as(kit, Insertion::New, &format!("after {micros} µs")).await?;
    }
    Ok(())
}

/// A key is kept for the greatest duration. It must be held after a thousand years.
async fn q15_the_longest_time_keeps_a_key(kit: &Kit) -> CaseResult {
    completed(kit, Duration::MAX).await?;
    for years in [1, 99, 900] {
        kit.advance(SECOND * 86_400 * 366 * years);
        prune_all(kit).await?;
        inserts_as(kit, Insertion::Duplicate, &format!("{years} years later")).await?;
    }
    Ok(())
}

/// Duplicates of a completed job are inserted while its key is kept, also with a longer time. The
/// key must be free at its first time.
async fn q15_a_duplicate_prolongs_no_kept_key(kit: &Kit) -> CaseResult {
    completed(kit, SECOND * 10).await?;
    for _ in 0..3 {
        kit.advance(SECOND * 3);
        let reply = insert(kit, kit.spec("job").unique_for("a", SECOND * 100)).await?;
        ensure_eq!(reply.insertion, Insertion::Duplicate, "the reply while the key is kept");
    }
    kit.advance(SECOND);
    inserts_as(kit, Insertion::New, "after ten seconds").await
}

/// A job has ended, and another one holds its key. The first one is inserted again, and must be
/// known.
async fn q15_a_job_without_its_key_is_known(kit: &Kit) -> CaseResult {
    let spec = kit.spec("job").unique("a");
    let first = kit.insert_one(spec.clone()).await?;
    kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete()).await?;
    kit.insert_one(kit.spec("job").unique("a")).await?;
    let reply = insert(kit, spec).await?;
    ensure_eq!((reply.id, reply.insertion), (first, Insertion::Known), "the reply to the repeated insert");
    Ok(())
}

/// Prunes run until the last tick of a kept key. It must be held until then.
async fn q15_a_prune_ends_no_kept_key_early(kit: &Kit) -> CaseResult {
    completed(kit, SECOND).await?;
    for wait in [TICK, SECOND - TICK * 2] {
        kit.advance(wait);
        prune_all(kit).await?;
        inserts_as(kit, Insertion::Duplicate, "after a prune").await?;
    }
    kit.advance(TICK);
    prune_all(kit).await?;
    inserts_as(kit, Insertion::New, "at the end").await
}

/// A job is inserted again with a key that it did not have, without the one that it had, or with
/// another. Each must be a conflict.
async fn q15_a_key_is_a_part_of_the_content(kit: &Kit) -> CaseResult {
    let (plain, unique) = (kit.spec("job"), kit.spec("job"));
    kit.insert_one(plain.clone()).await?;
    kit.insert_one(unique.clone().unique("a")).await?;
    for other in
        [plain.unique("b"), unique.clone(), unique.clone().unique("b"), unique.unique_for("a", SECOND)]
    {
        let fault = format!("{other:?}");
        let refused = fails_with(kit.try_insert(vec![other]).await?, ErrorKind::Conflict);
        refused.with_context(|| format!("an insert of a stored job as {fault}"))?;
    }
    ensure_eq!(kit.stored().await?.unique_keys.len(), 1, "the number of keys that are held");
    Ok(())
}
