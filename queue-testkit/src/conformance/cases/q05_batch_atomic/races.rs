//! Q5: concurrent batches share a job.

use std::sync::Arc;

use anyhow::ensure;
use queue_core::ErrorKind;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;

cases! {
    Race q05_one_of_many_batches_with_a_common_job_is_stored,
}

/// Six concurrent batches each hold one shared job and two of their own. Exactly one batch must be
/// stored, whole, and the others must return `Conflict`.
async fn q05_one_of_many_batches_with_a_common_job_is_stored(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..8 {
        let before = kit.stored().await?.jobs.len();
        let common = kit.spec("job");
        let insert = |task: usize| {
            let handle = Arc::clone(&handles[task % 2]);
            let batch = vec![kit.spec("job"), common.clone(), kit.spec("job")];
            async move { handle.try_insert(batch).await }
        };
        let mut stored = 0;
        for result in race((0..6).map(insert).collect()).await? {
            match result {
                Ok(submitted) => {
                    ensure!(
                        submitted.iter().all(|job| job.is_new()),
                        "round {round}: jobs of the stored batch were reported as known: {submitted:?}"
                    );
                    stored += 1;
                }
                Err(error) => {
                    ensure_eq!(
                        error.kind(),
                        ErrorKind::Conflict,
                        "round {round}, the kind of the error {error}"
                    );
                }
            }
        }
        ensure_eq!(stored, 1, "round {round}, the number of batches stored");
        ensure_eq!(kit.stored().await?.jobs.len(), before + 3, "round {round}, the number of stored jobs");
    }
    Ok(())
}
