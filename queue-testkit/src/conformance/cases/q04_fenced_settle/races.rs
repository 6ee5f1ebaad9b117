//! Q4: concurrent settles of one lease.

use std::sync::Arc;

use queue_core::JobState;
use queue_core::backend::Settled;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{bury, complete};

cases! {
    Race q04_one_of_two_verdicts_that_race_wins,
}

/// Eight tasks over two handles settle one lease, half of them with each verdict. The settles with
/// the stored verdict must return `Done`, the others `LeaseLost`.
async fn q04_one_of_two_verdicts_that_race_wins(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let worker = kit.worker().await?;
    for round in 0..16 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(worker).await?.token;
        let settle = |task: usize| {
            let handle = Arc::clone(&handles[task / 2 % 2]);
            let verdict = if task.is_multiple_of(2) { complete() } else { bury("raced") };
            async move { handle.settle_one(token, verdict).await }
        };
        let answers = race((0..8).map(settle).collect()).await?;
        let winner = match kit.state(id).await? {
            JobState::Completed => 0,
            JobState::Dead => 1,
            state => anyhow::bail!("round {round}: job {id} is {state}"),
        };
        for (task, answer) in answers.into_iter().enumerate() {
            let expected = if task % 2 == winner { Settled::Done } else { Settled::LeaseLost };
            ensure_eq!(answer, expected, "round {round}, the reply to task {task}");
        }
    }
    Ok(())
}
