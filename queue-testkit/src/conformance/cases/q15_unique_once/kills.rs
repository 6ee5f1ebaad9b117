//! Q15: keys outlive the handle and the process.

use std::time::Duration;

use anyhow::ensure;
use queue_core::Insertion;

use super::fast::insert;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::complete;

cases! {
    Fast q15_a_key_is_as_durable_as_its_job [UniqueKeys, Durable],
}

/// After the storage is opened again, held and kept keys must be held, and released ones free.
async fn q15_a_key_is_as_durable_as_its_job(kit: &Kit) -> CaseResult {
    let unfinished = kit.insert_one(kit.spec("job").unique("unfinished").priority(-1)).await?;
    let kept = kit.insert_one(kit.spec("job").unique_for("kept", Duration::from_secs(60))).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.settle_one(job.token, complete()).await?;
    let cancelled = kit.insert_one(kit.spec("job").unique("cancelled")).await?;
    kit.cancel(cancelled).await?;
    kit.reopen().await?;
    for (key, holder) in [("unfinished", unfinished), ("kept", kept)] {
        let reply = insert(kit, kit.spec("job").unique(key)).await?;
        ensure_eq!(
            (reply.id, reply.insertion),
            (holder, Insertion::Duplicate),
            "the reply for the key `{key}`"
        );
    }
    ensure!(insert(kit, kit.spec("job").unique("cancelled")).await?.is_new(), "the released key is held");
    Ok(())
}
