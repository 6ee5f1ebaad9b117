//! Which rare states the runs of a test came to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Something that seldom happens, and must have happened for the runs to prove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rare {
    LostRequest,
    LostReply,
    /// A batch was inserted, its reply lost, and the same batch known when it came again.
    InsertedAgain,
    /// A claim whose reply was lost had taken jobs.
    Adopted,
    /// A settle whose reply was lost was repeated, and told that it had been done.
    SettledAgain,
    LeaseLost,
    WorkerLost,
    LateBeat,
    Rescued,
    DiedByRescue,
    KilledWhileRunning,
    StoppedPastExpiry,
    LeftByShutdown,
    Cancelled,
    CancelMetRunning,
    CancelMetFinished,
    /// A job was completed though somebody wanted it cancelled.
    CompletedAllTheSame,
    RanAgain,
    /// A parked claim was made with an insert.
    ClaimedAsEntered,
}

impl Rare {
    pub(crate) const ALL: [Self; 19] = [
        Self::LostRequest,
        Self::LostReply,
        Self::InsertedAgain,
        Self::Adopted,
        Self::SettledAgain,
        Self::LeaseLost,
        Self::WorkerLost,
        Self::LateBeat,
        Self::Rescued,
        Self::DiedByRescue,
        Self::KilledWhileRunning,
        Self::StoppedPastExpiry,
        Self::LeftByShutdown,
        Self::Cancelled,
        Self::CancelMetRunning,
        Self::CancelMetFinished,
        Self::CompletedAllTheSame,
        Self::RanAgain,
        Self::ClaimedAsEntered,
    ];
}

/// How often each happened. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<Rare, u64>>>);

impl Tally {
    pub(crate) fn count(&self, rare: Rare) {
        self.count_many(rare, 1);
    }

    pub(crate) fn count_many(&self, rare: Rare, times: u64) {
        if times > 0 {
            *self.0.lock().unwrap().entry(rare).or_default() += times;
        }
    }

    pub(crate) fn of(&self, rare: Rare) -> u64 {
        self.0.lock().unwrap().get(&rare).copied().unwrap_or_default()
    }

    /// Runs that never came to one of them have not tested it.
    pub(crate) fn check(&self) {
        let missed: Vec<Rare> = Rare::ALL.into_iter().filter(|rare| self.of(*rare) == 0).collect();
        println!("{:?}", self.0.lock().unwrap());
        assert!(missed.is_empty(), "the runs never came to {missed:?}");
    }
}
