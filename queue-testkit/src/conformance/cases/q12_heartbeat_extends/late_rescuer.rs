//! Q12: a worker that is late itself judges nobody.

use std::time::Duration;

use queue_core::WorkerId;
use queue_core::backend::{MaintainReply, MaintainRequest};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK};

cases! {
    Fast q12_a_worker_whose_own_expiry_has_come_rescues_nobody,
    Fast q12_a_worker_that_was_lost_or_never_entered_rescues_nobody,
    Fast q12_a_worker_that_beat_first_rescues_the_others,
}

async fn rescue_by(kit: &Kit, worker: WorkerId) -> anyhow::Result<MaintainReply> {
    kit.maintain(MaintainRequest::rescue(10).by(worker)).await
}

/// After a jump of the clock everybody is late, the rescuer too: also at the very tick.
async fn q12_a_worker_whose_own_expiry_has_come_rescues_nobody(kit: &Kit) -> CaseResult {
    let (holder, rescuer) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(holder).await?;
    for late in [EXPIRY, TICK, Duration::from_secs(3600)] {
        kit.advance(late);
        let reply = rescue_by(kit, rescuer).await?;
        ensure_eq!((reply.workers_lost, reply.rescued), (0, 0), "workers and leases taken, {late:?} on");
    }
    kit.heartbeat(holder).await?;
    Ok(())
}

/// Nor does a lease past its deadline go by its hand.
async fn q12_a_worker_that_was_lost_or_never_entered_rescues_nobody(kit: &Kit) -> CaseResult {
    let lost = kit.worker().await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let holder = kit.worker().await?;
    kit.insert_one(kit.spec("job").timeout(Duration::ZERO)).await?;
    kit.claim_one(holder).await?;
    kit.advance(Duration::from_secs(3600));
    for stranger in [lost, WorkerId::generate()] {
        let reply = rescue_by(kit, stranger).await?;
        ensure_eq!((reply.workers_lost, reply.rescued), (0, 0), "workers and leases taken by {stranger}");
    }
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "leases taken by nobody in particular");
    Ok(())
}

/// A tick before its own expiry is early enough.
async fn q12_a_worker_that_beat_first_rescues_the_others(kit: &Kit) -> CaseResult {
    let (holder, rescuer) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(holder).await?;
    kit.advance(EXPIRY);
    kit.heartbeat(rescuer).await?;
    kit.advance(EXPIRY - TICK);
    let reply = rescue_by(kit, rescuer).await?;
    ensure_eq!((reply.workers_lost, reply.rescued), (1, 1), "workers and leases taken");
    Ok(())
}
