//! Q12: short and long expiries hold as they were registered.

use std::time::Duration;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;

cases! {
    Fast q12_an_expiry_of_hours_is_extended_by_hours,
    Fast q12_the_longest_expiry_never_ends,
    Fast q12_an_expiry_of_zero_has_ended,
}

const HOUR: Duration = Duration::from_secs(3600);

/// A worker with an expiry of five hours sends a heartbeat after four. It must live for four more.
async fn q12_an_expiry_of_hours_is_extended_by_hours(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(HOUR * 5).await?;
    for _ in 0..3 {
        kit.advance(HOUR * 4);
        ensure_eq!(kit.rescue(9).await?.workers_lost, 0, "the workers lost within the expiry");
        kit.heartbeat(worker).await?;
    }
    kit.advance(HOUR * 6);
    ensure_eq!(kit.rescue(9).await?.workers_lost, 1, "the workers lost after the expiry");
    Ok(())
}

/// A worker with the longest expiry must not be lost, before its first heartbeat and after it.
async fn q12_the_longest_expiry_never_ends(kit: &Kit) -> CaseResult {
    let worker = kit.worker_expiring_after(Duration::MAX).await?;
    for _ in 0..2 {
        kit.advance(HOUR * 24 * 365);
        ensure_eq!(kit.rescue(9).await?.workers_lost, 0, "the workers lost after a year");
        kit.heartbeat(worker).await?;
    }
    Ok(())
}

/// A worker with an expiry of zero is dead from its registration on, so a rescue must find it.
async fn q12_an_expiry_of_zero_has_ended(kit: &Kit) -> CaseResult {
    kit.worker_expiring_after(Duration::ZERO).await?;
    ensure_eq!(kit.rescue(9).await?.workers_lost, 1, "the workers lost at the time of the registration");
    Ok(())
}
