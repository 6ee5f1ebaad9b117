//! How many processes were killed, and what they were found doing.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::ensure;

/// The fewest kills of a run of the whole tier on one backend.
const LEAST: u32 = 100;

/// The most kills of a case are so many times those it is to make.
const MOST_TIMES: u32 = 4;

/// Those of the whole run, over all cases.
static RUN: Counts =
    Counts { killed: AtomicU32::new(0), holding: AtomicU32::new(0), writing: AtomicU32::new(0) };

#[derive(Debug)]
struct Counts {
    killed: AtomicU32,
    holding: AtomicU32,
    writing: AtomicU32,
}

/// What a process was found doing when it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It held a lease.
    Lease,
    /// It had sent a write, and knew no answer.
    Write,
    /// Neither.
    Nothing,
}

/// Kills, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kills {
    pub(crate) killed: u32,
    pub(crate) holding: u32,
    pub(crate) writing: u32,
}

impl Kills {
    pub(crate) fn add(&mut self, found: Found) {
        let one = |own: &mut u32, run: &AtomicU32| {
            *own += 1;
            run.fetch_add(1, Ordering::Relaxed);
        };
        one(&mut self.killed, &RUN.killed);
        match found {
            Found::Lease => one(&mut self.holding, &RUN.holding),
            Found::Write => one(&mut self.writing, &RUN.writing),
            Found::Nothing => {}
        }
    }

    /// Those of another run as well.
    pub(crate) const fn join(&mut self, other: Self) {
        self.killed += other.killed;
        self.holding += other.holding;
        self.writing += other.writing;
    }

    /// Those of all cases so far.
    pub(crate) fn of_run() -> Self {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        Self { killed: read(&RUN.killed), holding: read(&RUN.holding), writing: read(&RUN.writing) }
    }

    /// Whether a case that kills at random moments is to kill on: until it has made so many kills and half of
    /// them found something, which in one run takes longer than in another.
    pub(crate) fn are_wanted(self, least: u32) -> bool {
        self.killed < least || (self.found_enough().is_err() && self.killed < MOST_TIMES * least)
    }

    /// Fails if most of the processes were killed while there was nothing to lose.
    pub(crate) fn found_enough(self) -> anyhow::Result<()> {
        ensure!(2 * (self.holding + self.writing) >= self.killed, "most kills found nothing open: {self}");
        Ok(())
    }

    /// Fails if these are not enough for the whole tier.
    pub(crate) fn are_enough(self) -> anyhow::Result<()> {
        ensure!(self.killed >= LEAST, "the tier is to kill {LEAST} processes: {self}");
        self.found_enough()
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
    fn more_kills_are_wanted_until_half_found_something_or_they_are_far_too_many() {
        let kills = |killed, holding| Kills { killed, holding, writing: 0 };
        assert!(kills(9, 9).are_wanted(10));
        assert!(!kills(10, 5).are_wanted(10));
        assert!(kills(10, 4).are_wanted(10));
        assert!(kills(39, 0).are_wanted(10));
        assert!(!kills(40, 0).are_wanted(10));
    }

    #[test]
    fn half_of_the_kills_must_find_something() {
        let kills = |killed, holding, writing| Kills { killed, holding, writing };
        assert!(kills(10, 3, 2).found_enough().is_ok());
        assert!(kills(10, 3, 1).found_enough().is_err());
        assert!(kills(10, 9, 1).are_enough().is_err());
        assert!(kills(LEAST, LEAST / 2, 0).are_enough().is_ok());
    }
}
