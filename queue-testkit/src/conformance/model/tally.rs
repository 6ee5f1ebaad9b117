//! Which rare states a random run reached.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::super::case::CaseResult;

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
    ClaimedWithCursor,
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

    /// A run that never met one of these has not tested it.
    pub(super) fn check(&self, expected: &[Rare]) -> CaseResult {
        let missed: Vec<&Rare> = expected.iter().filter(|rare| !self.0.contains_key(rare)).collect();
        ensure!(missed.is_empty(), "the run never reached {missed:?}; it reached {:?}", self.0);
        Ok(())
    }
}
