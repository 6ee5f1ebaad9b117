//! Q2: a process is killed before it sends its jobs.

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::crash::crew::Crew;
use crate::conformance::kit::Kit;

cases! {
    Crash q02_what_a_killed_process_had_not_sent_does_not_exist [Durable, MultiProcess, Children],
}

/// A process is killed before it sends a batch that it has prepared. None of the jobs may be
/// stored.
async fn q02_what_a_killed_process_had_not_sent_does_not_exist(kit: &Kit) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    let mut expected = 0;
    for nth in 1..=4 {
        let child = crew.start_halting(crew.enqueuer(5, 100), "before insert", nth).await?;
        crew.kill(child).await?;
        expected += 5 * (nth as usize - 1);
        ensure_eq!(
            kit.stored().await?.jobs.len(),
            expected,
            "the number of stored jobs after {nth} processes"
        );
    }
    crew.drain().await?;
    crew.check().await?;
    Ok(())
}
