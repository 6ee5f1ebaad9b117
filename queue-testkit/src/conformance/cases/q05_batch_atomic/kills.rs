//! Q5: the sender of a batch is killed.

use std::time::Duration;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::crash::crew::Crew;
use crate::conformance::history::event::Event;
use crate::conformance::kit::Kit;

cases! {
    Crash q05_a_batch_whose_sender_is_killed_is_there_whole_or_not_at_all [Durable, MultiProcess, Children],
}

/// A process is killed at a random moment after it sent a large batch. The batch must be stored
/// whole or not at all.
async fn q05_a_batch_whose_sender_is_killed_is_there_whole_or_not_at_all(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    while crew.kills.are_wanted(20) {
        let mut child = crew.start(crew.enqueuer(150, 100))?;
        for _ in 0..chance.u32(1..4) {
            child.child.until(Event::asks_to_insert).await?;
        }
        tokio::time::sleep(Duration::from_micros(chance.u64(..10_000))).await;
        crew.kill(child).await?;
    }
    crew.drain().await?;
    crew.check().await?;
    crew.kills.found_enough()
}
