//! Q14: no job starts before its time.

use queue_core::State;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::TICK;

cases! {
    Fast q14_a_job_starts_at_its_very_tick,
}

/// At −1 tick it waits; at its time it is claimed.
async fn q14_a_job_starts_at_its_very_tick(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let run_at = kit.now().saturating_add(TICK * 2);
    let id = kit.insert_one(kit.spec("job").run_at(run_at)).await?;
    kit.advance(TICK);
    let early = kit.claiming(worker, 1).take().await?;
    ensure_eq!(early.jobs, [], "a claim one tick before the time");
    ensure_eq!(early.next_due.unwrap_or(TICK), TICK, "how long until the job is due");
    ensure_eq!(kit.state(id).await?, State::Scheduled, "the state one tick before the time");
    kit.advance(TICK);
    ensure_eq!(kit.claim_one(worker).await?.token.job, id, "what is claimed at the time");
    Ok(())
}
