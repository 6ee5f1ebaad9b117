//! Q1 and all other promises: mixed load for a longer time.

use std::time::Duration;

use crate::conformance::audit::check_rows;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::crash::crew::Crew;
use crate::conformance::crash::kills::Kills;
use crate::conformance::crash::rare::Reached;
use crate::conformance::crash::soak::soak;
use crate::conformance::history::log::Log;
use crate::conformance::kit::Kit;

cases! {
    Soak q01_everything_at_once_for_a_while [Durable, MultiProcess, Children],
}

/// The shortest time for which a storage is used before it is drained and checked, unless the whole
/// soak is shorter.
const ROUND: Duration = Duration::from_secs(20);
/// The most extra rounds, because a slow machine may miss a rare state.
const MOST_FURTHER: u32 = 4;

/// The states and kills that all rounds together have reached.
#[derive(Debug, Default)]
struct Shown {
    reached: Reached,
    kills: Kills,
}

impl Shown {
    /// Fails if a state or a kill that a soak must reach is missing.
    fn check(&self) -> CaseResult {
        self.kills.found_enough()?;
        self.reached.check()
    }
}

/// Tasks and processes enqueue, work, cancel, lose leases, are stopped and are killed. The rest is
/// drained, and the history is checked against the stored rows. A long soak repeats this in rounds
/// of the same length on fresh storages. Each soak continues until each rare state was reached.
async fn q01_everything_at_once_for_a_while(kit: &Kit) -> CaseResult {
    let mut chance = fastrand::Rng::with_seed(kit.seed());
    let whole = kit.settings().soak;
    let rounds = u32::try_from(whole.as_secs() / ROUND.as_secs())?.max(1);
    let mut shown = Shown::default();
    round(kit, whole / rounds, chance.fork(), &mut shown).await?;
    for done in 1..rounds + MOST_FURTHER {
        if done >= rounds && shown.check().is_ok() {
            break;
        }
        let fresh = kit.fresh().await?;
        round(&fresh, whole / rounds, chance.fork(), &mut shown).await?;
    }
    shown.check()
}

#[expect(clippy::print_stdout, reason = "the operator who runs the suite needs the counts")]
async fn round(kit: &Kit, length: Duration, chance: fastrand::Rng, shown: &mut Shown) -> CaseResult {
    let mut crew = Crew::new(kit)?;
    soak(&mut crew, length, chance).await?;
    crew.run_dry().await?;
    let stored = crew.check().await?;
    check_rows(&stored, &kit.history().with_log(Log::retries))?;
    let reached = kit.history().with_log(|log| Reached::count(log, &stored));
    println!("conformance: soaked {length:?}, {} jobs, {}; {reached}", stored.jobs.len(), crew.kills);
    shown.kills.join(crew.kills);
    shown.reached.join(reached);
    Ok(())
}
