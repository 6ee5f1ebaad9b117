//! Q1, and all others: everything at once, for longer.

use std::time::Duration;

use anyhow::ensure;

use crate::conformance::audit::audit;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::rare::Reached;
use crate::conformance::crash::soak::soak;
use crate::conformance::kit::Kit;

cases! {
    Soak q01_everything_at_once_for_a_while [Durable, MultiProcess, Children],
}

/// How long a storage is used at the least before everything is drained and checked, unless the whole soak is shorter:
/// a short round may miss a rare state.
const ROUND: Duration = Duration::from_secs(20);

/// Tasks and processes enqueue, work, cancel, lose their leases, are stopped and killed. What is left is drained, and
/// what everybody said is held against what is stored. A long soak does so again and again, in rounds of the same
/// length on fresh storages.
async fn q01_everything_at_once_for_a_while(kit: &Kit) -> CaseResult {
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    let whole = kit.settings().soak;
    let rounds = u32::try_from(whole.as_secs() / ROUND.as_secs())?.max(1);
    round(kit, whole / rounds, chance.fork()).await?;
    for _ in 1..rounds {
        let fresh = kit.fresh().await?;
        round(&fresh, whole / rounds, chance.fork()).await?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "whoever runs the suite is to see what was reached")]
async fn round(kit: &Kit, length: Duration, chance: fastrand::Rng) -> CaseResult {
    let mut crew = Crew::at_its_own_time(kit)?;
    soak(&mut crew, length, chance).await?;
    crew.run_dry().await?;
    let stored = crew.check().await?;
    let violations = audit(&stored);
    ensure!(violations.is_empty(), "the structural audit found {violations:?}");
    let reached = Reached::count(&crew.testimonies(), &stored);
    println!("conformance: soaked {length:?}, {} jobs, {}; {reached}", stored.jobs.len(), crew.kills);
    crew.kills.found_enough()?;
    reached.check()
}
