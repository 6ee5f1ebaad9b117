//! Counts the rare states that random sequences reached.

use std::collections::BTreeMap;

/// A rare state. A run that does not reach it does not test it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rare {
    LeaseLost,
    SettledAgain,
    Rescued,
    DiedByRescue,
    DiedByFailure,
    CancelMetRunning,
    CancelMetFinished,
    RetriedByHand,
    RetryMetUnfinished,
    WorkerLost,
    LateHeartbeat,
    InsertedAgain,
    BatchRefused,
    CutByLastAttempts,
    ClaimMetPause,
    LeasesFound,
    CancelSignalled,
    ProgressStored,
    ProgressStale,
    RetiredWithLeases,
    Promoted,
    Pruned,
}

/// How often each rare state was reached.
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

    /// The states in `expected` that were never reached, and so not tested.
    pub(super) fn missed(&self, expected: &[Rare]) -> Vec<Rare> {
        expected.iter().copied().filter(|rare| !self.0.contains_key(rare)).collect()
    }
}
