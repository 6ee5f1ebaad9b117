//! Q12: concurrent heartbeats of one worker.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{Beat, HeartbeatRequest};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{EXPIRY, TICK};

cases! {
    Race q12_heartbeats_out_of_order_leave_the_latest_expiry,
}

/// Sixteen heartbeats with different times run concurrently over two handles. The expiry must count
/// from the greatest time.
async fn q12_heartbeats_out_of_order_leave_the_latest_expiry(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..8 {
        let worker = kit.worker().await?;
        let start = kit.now();
        let beat = |task: u32| {
            let backend = handles[usize::from(task.is_multiple_of(2))].backend();
            // The times are in no order.
            let time = start.saturating_add(Duration::from_secs(1) * (task * 7 % 16));
            async move { Ok(backend?.heartbeat(HeartbeatRequest::new(worker).at(time)).await?.beat) }
        };
        let beats = race((0..16).map(beat).collect()).await?;
        let late = beats.iter().filter(|beat| **beat == Beat::Late).count();
        ensure!(late <= 1, "round {round}: {late} heartbeats were late, at most one may be");
        kit.set_clock(start.saturating_add(EXPIRY * 2 - TICK));
        ensure_eq!(
            kit.rescue(10).await?.workers_lost,
            0,
            "round {round}, the number of workers lost one tick before the expiry"
        );
        kit.advance(TICK);
        ensure_eq!(
            kit.rescue(10).await?.workers_lost,
            1,
            "round {round}, the number of workers lost at the expiry"
        );
    }
    Ok(())
}
