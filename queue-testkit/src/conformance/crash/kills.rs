//! Counts kills, and whether the killed process held a lease or was writing.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use queue_core::backend::Capabilities;

use crate::conformance::pass::not_shown;

/// Minimum number of kills in a run of the whole tier on one backend.
const LEAST: u32 = 100;

/// The same for a backend of one process at a time, to which few cases of the tier apply.
const LEAST_ALONE: u32 = 20;

/// Maximum number of kills of a case, as a multiple of its minimum.
const MAX_FACTOR: u32 = 4;

/// The kills of all cases of this run.
static RUN: Counts =
    Counts { killed: AtomicU32::new(0), holding: AtomicU32::new(0), writing: AtomicU32::new(0) };

#[derive(Debug)]
struct Counts {
    killed: AtomicU32,
    holding: AtomicU32,
    writing: AtomicU32,
}

/// The state of a process at its kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KilledWhile {
    /// The process held a lease.
    HoldingLease,
    /// The process had sent a write and received no reply.
    Writing,
    /// Neither of these.
    Idle,
}

/// Numbers of kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kills {
    pub(crate) killed: u32,
    pub(crate) holding: u32,
    pub(crate) writing: u32,
}

impl Kills {
    pub(crate) fn add(&mut self, found: KilledWhile) {
        let increment = |count: &mut u32, run: &AtomicU32| {
            *count += 1;
            run.fetch_add(1, Ordering::Relaxed);
        };
        increment(&mut self.killed, &RUN.killed);
        match found {
            KilledWhile::HoldingLease => increment(&mut self.holding, &RUN.holding),
            KilledWhile::Writing => increment(&mut self.writing, &RUN.writing),
            KilledWhile::Idle => {}
        }
    }

    /// Adds the kills of another round.
    pub(crate) const fn join(&mut self, other: Self) {
        self.killed += other.killed;
        self.holding += other.holding;
        self.writing += other.writing;
    }

    /// The kills of all cases so far.
    pub(crate) fn of_run() -> Self {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        Self { killed: read(&RUN.killed), holding: read(&RUN.holding), writing: read(&RUN.writing) }
    }

    /// Whether a case that kills at random moments must continue: until it has made at least
    /// `least` kills and half of them interrupted work. How many kills that takes depends on
    /// chance.
    pub(crate) fn are_wanted(self, least: u32) -> bool {
        self.killed < least || (self.found_enough().is_err() && self.killed < MAX_FACTOR * least)
    }

    /// Returns [`NotShown`](crate::conformance::pass::NotShown) if most kills interrupted no work,
    /// because such kills test nothing.
    pub(crate) fn found_enough(self) -> anyhow::Result<()> {
        if 2 * (self.holding + self.writing) >= self.killed {
            return Ok(());
        }
        Err(not_shown(format!("at least half of the kills shall interrupt work: {self}")))
    }

    /// Does the same if these kills are too few for the whole tier.
    pub(crate) fn are_enough(self, capabilities: Capabilities) -> anyhow::Result<()> {
        let least = if capabilities.multi_process { LEAST } else { LEAST_ALONE };
        if self.killed >= least {
            return self.found_enough();
        }
        Err(not_shown(format!("the tier shall kill at least {least} processes: {self}")))
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, holding, writing } = self;
        let share = 100 * (holding + writing) / (*killed).max(1);
        write!(
            f,
            "{killed} processes killed, {holding} of them with a running lease, {writing} with an open write: {share} %"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_continue_until_half_interrupted_work_or_maximum() {
        let kills = |killed, holding| Kills { killed, holding, writing: 0 };
        assert!(kills(9, 9).are_wanted(10));
        assert!(!kills(10, 5).are_wanted(10));
        assert!(kills(10, 4).are_wanted(10));
        assert!(kills(39, 0).are_wanted(10));
        assert!(!kills(40, 0).are_wanted(10));
    }

    #[test]
    fn kills_that_mostly_interrupt_nothing_fail() {
        let kills = |killed, holding, writing| Kills { killed, holding, writing };
        assert!(kills(10, 3, 2).found_enough().is_ok());
        assert!(kills(10, 3, 1).found_enough().is_err());
        let many = Capabilities::default().with_multi_process();
        assert!(kills(20, 9, 1).are_enough(many).is_err());
        assert!(kills(20, 9, 1).are_enough(Capabilities::default()).is_ok());
        assert!(kills(LEAST, LEAST / 2, 0).are_enough(many).is_ok());
    }
}
