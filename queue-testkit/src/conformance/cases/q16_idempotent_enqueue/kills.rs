//! Q16: a batch is sent again after its sender was killed.

use anyhow::{Context as _, ensure};
use queue_core::backend::InsertRequest;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::enqueue::Jobs;
use crate::conformance::kit::Kit;

cases! {
    Crash q16_a_batch_that_is_sent_again_after_a_kill_makes_each_job_once [Durable, MultiProcess, Children],
}

/// The sender is killed, so whether its batch was stored is unknown. Another handle sends the same
/// ids again. Each job must be stored once.
async fn q16_a_batch_that_is_sent_again_after_a_kill_makes_each_job_once(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let backend = kit.backend()?;
    for round in 0..5 {
        for point in ["before insert", "insert sent", "insert answered"] {
            let orders = crew.enqueuer(9, 100);
            let batch = orders.next_batch(&mut Jobs::new(orders.number), kit.now())?;
            let child = crew.start_halting(orders, point, 1).await?;
            crew.kill(child).await?;
            let answers = backend.insert(InsertRequest::new(vec![batch]).at(kit.now())).await?.batches;
            let answer =
                answers.into_iter().next().context("the reply to an insert of one batch is empty")??;
            let new = answer.iter().filter(|job| job.is_new()).count();
            let expected: &[usize] = match point {
                "before insert" => &[9],
                "insert sent" => &[0, 9],
                _ => &[0],
            };
            ensure!(expected.contains(&new), "round {round}, {point}: {new} of 9 jobs are new");
        }
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 5 * 3 * 9, "the number of stored jobs");
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}
