//! Q21: opening a storage again changes nothing.

use super::races::{jobs_of_every_state, same_rows};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;

cases! {
    Fast q21_opening_again_and_again_changes_nothing [Migrations, Durable],
}

/// The handle is reopened twenty times without other requests. No row may change.
async fn q21_opening_again_and_again_changes_nothing(kit: &Kit) -> CaseResult {
    jobs_of_every_state(kit).await?;
    let before = kit.stored().await?;
    for time in 0..20 {
        kit.reopen().await?;
        let seen = kit.stored().await?;
        ensure_eq!(
            (&seen.jobs, &seen.workers),
            (&before.jobs, &before.workers),
            "the stored jobs and workers after reopen {time}"
        );
        same_rows(&seen, &before)?;
    }
    kit.works().await
}
