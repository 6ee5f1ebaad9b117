//! Q12: an expired worker must not rescue other workers.

use std::time::Duration;

use queue_core::WorkerId;
use queue_core::backend::{MaintainReply, MaintainRequest};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, TICK};

cases! {
    Fast q12_a_worker_whose_own_expiry_has_come_rescues_nobody,
    Fast q12_a_worker_that_was_lost_or_never_entered_rescues_nobody,
    Fast q12_a_worker_that_beat_first_rescues_the_others,
}

async fn rescue_by(kit: &Kit, worker: WorkerId) -> anyhow::Result<MaintainReply> {
    kit.maintain(MaintainRequest::rescue(10).by(worker)).await
}

/// The clock jumps, so that both the holder and the rescuer have expired. The rescuer must not mark
/// any worker as lost, even at the tick of its own expiry.
async fn q12_a_worker_whose_own_expiry_has_come_rescues_nobody(kit: &Kit) -> CaseResult {
    let (holder, rescuer) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(holder).await?;
    for late in [EXPIRY, TICK, Duration::from_secs(3600)] {
        kit.advance(late);
        let reply = rescue_by(kit, rescuer).await?;
        ensure_eq!(
            (reply.workers_lost, reply.rescued),
            (0, 0),
            "the numbers of workers lost and leases rescued, {late:?} later"
        );
    }
    kit.heartbeat(holder).await?;
    Ok(())
}

/// A lost or unregistered worker asks for a rescue. It must not take any lease, even one past its
/// deadline.
async fn q12_a_worker_that_was_lost_or_never_entered_rescues_nobody(kit: &Kit) -> CaseResult {
    let (lost, start) = (kit.worker().await?, kit.now());
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let (holder, retired) = (kit.worker().await?, kit.worker_expiring_after(EXPIRY * 1000).await?);
    kit.retire(retired).await?;
    kit.insert_one(kit.spec("job").timeout(Duration::ZERO)).await?;
    kit.claim_one(holder).await?;
    kit.advance(Duration::from_secs(3600));
    for other in [lost, retired, WorkerId::generate()] {
        let reply = rescue_by(kit, other).await?;
        ensure_eq!(
            (reply.workers_lost, reply.rescued),
            (0, 0),
            "the numbers of workers lost and leases rescued by {other}"
        );
    }
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of leases rescued without a named worker");
    // The clock goes back, before the expiry of the lost worker and behind a deadline.
    kit.set_clock(start.saturating_sub(GRACE));
    let live = kit.worker_expiring_after(EXPIRY * 1000).await?;
    kit.insert_one(kit.spec("other").timeout(Duration::ZERO)).await?;
    kit.claiming(live, 1).kinds(&["other"]).take().await?;
    kit.set_clock(start);
    ensure_eq!(rescue_by(kit, lost).await?.rescued, 0, "the leases rescued by the lost worker then");
    ensure_eq!(rescue_by(kit, live).await?.rescued, 1, "the leases rescued by a live worker, its own");
    Ok(())
}

/// A worker sends a heartbeat, then rescues one tick before its own expiry. It must take the leases
/// of an expired worker.
async fn q12_a_worker_that_beat_first_rescues_the_others(kit: &Kit) -> CaseResult {
    let (holder, rescuer) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(holder).await?;
    kit.advance(EXPIRY);
    kit.heartbeat(rescuer).await?;
    kit.advance(EXPIRY - TICK);
    let reply = rescue_by(kit, rescuer).await?;
    ensure_eq!((reply.workers_lost, reply.rescued), (1, 1), "the numbers of workers lost and leases rescued");
    Ok(())
}
