//! Which rare events the runs of a test have reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A rare event. A test that never reaches it has not tested it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rare {
    LostRequest,
    LostReply,
    /// A batch whose reply was lost was inserted again, and its jobs were known.
    InsertedAgain,
    /// The jobs of a claim whose reply was lost were recovered.
    Recovered,
    /// A settle whose reply was lost was repeated, and the reply was `Done` again.
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
    /// A job completed although a cancel was sent.
    CompletedDespiteCancel,
    RanAgain,
    /// A parked claim was made with an insert.
    ClaimedWithInsert,
}

impl Rare {
    pub(crate) const ALL: [Self; 19] = [
        Self::LostRequest,
        Self::LostReply,
        Self::InsertedAgain,
        Self::Recovered,
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
        Self::CompletedDespiteCancel,
        Self::RanAgain,
        Self::ClaimedWithInsert,
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

    /// Fails if an event never happened.
    pub(crate) fn check(&self) {
        let missed: Vec<Rare> = Rare::ALL.into_iter().filter(|rare| self.of(*rare) == 0).collect();
        println!("{:?}", self.0.lock().unwrap());
        assert!(missed.is_empty(), "the runs never reached {missed:?}");
    }
}
