//! Which rare states a random run reached.

use std::collections::BTreeMap;

/// Something that happens seldom, and must have happened for a run to prove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rare {
    LeaseLost,
    SettledAgain,
    Rescued,
    DiedByRescue,
    DiedByFailure,
    CancelMetRunning,
    CancelMetFinished,
    WorkerLost,
    LateBeat,
    InsertedAgain,
    BatchRefused,
    CutByLastAttempts,
    ClaimMetPause,
    LeasesFound,
    CancelTold,
    ProgressStored,
    ProgressStale,
    RetiredWithLeases,
    Promoted,
    Pruned,
}

/// How often each was reached.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Rare, u64>);

impl Tally {
    pub(super) fn reached(&mut self, rare: Rare) {
        *self.0.entry(rare).or_default() += 1;
    }

    pub(super) fn reached_if(&mut self, is_so: bool, rare: Rare) {
        if is_so {
            self.reached(rare);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (rare, times) in &other.0 {
            *self.0.entry(*rare).or_default() += times;
        }
    }

    /// Those of `expected` that were never reached, and so not tested.
    pub(super) fn missed(&self, expected: &[Rare]) -> Vec<Rare> {
        expected.iter().copied().filter(|rare| !self.0.contains_key(rare)).collect()
    }
}
