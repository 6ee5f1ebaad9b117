//! The last job that a worker claimed of each priority.

use std::collections::BTreeMap;
use std::time::Duration;

use queue_core::{JobId, Timestamp};

/// A job within its priority, in the order of claims.
pub(crate) type Position = (Timestamp, JobId);

/// For each priority that a worker claimed from, the position of the job it claimed last.
///
/// A claim reads each priority only after its position, and a priority without a position from its
/// head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    positions: BTreeMap<i16, Position>,
}

impl Cursor {
    /// The priorities with their positions, the highest first.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (i16, Position)> {
        self.positions.iter().rev().map(|(priority, position)| (*priority, *position))
    }

    /// Moves the position of this priority to the job, unless it is behind it already.
    pub(crate) fn advance(&mut self, priority: i16, job: Position) {
        let kept = self.positions.entry(priority).or_insert(job);
        *kept = job.max(*kept);
    }

    /// Moves the position back so that the next claim sees a job of this priority with this
    /// `run_at`.
    pub(crate) fn rewind(&mut self, priority: i16, run_at: Timestamp) {
        if let Some(position) = self.positions.get_mut(&priority)
            && position.0 >= run_at
        {
            *position = (run_at.saturating_sub(Duration::from_micros(1)), JobId::from_bytes([0xff; 16]));
            if run_at == Timestamp::UNIX_EPOCH {
                self.positions.remove(&priority);
            }
        }
    }

    /// Keeps the positions of the priorities that a claim from the head passed: all above the
    /// lowest priority of its jobs, or all if it ended before its limit. Otherwise the next claim
    /// would start at the head of a priority whose jobs are all claimed.
    pub(crate) fn keep_passed(&mut self, older: &Self, was_full: bool) {
        let lowest = if was_full { self.positions.keys().next().copied() } else { None };
        for (&priority, &position) in &older.positions {
            if lowest.is_none_or(|lowest| priority > lowest) {
                self.positions.entry(priority).or_insert(position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn cursor(positions: &[(i16, i64)]) -> Cursor {
        let mut cursor = Cursor::default();
        for (priority, micros) in positions {
            cursor.advance(*priority, (at(*micros), JobId::from_bytes([1; 16])));
        }
        cursor
    }

    #[test]
    fn rewind_moves_one_priority_before_its_job() {
        let mut rewound = cursor(&[(1, 100), (2, 100)]);
        rewound.rewind(1, at(50));
        let positions: Vec<_> = rewound.positions().collect();
        assert_eq!(positions[0], (2, (at(100), JobId::from_bytes([1; 16]))));
        assert!(positions[1].1 < (at(50), JobId::from_bytes([0; 16])));
        rewound.rewind(2, at(101));
        assert_eq!(rewound.positions().next(), positions.first().copied(), "it sees a later job anyway");
    }

    #[test]
    fn rewind_to_the_first_moment_is_the_head() {
        let mut rewound = cursor(&[(0, 5)]);
        rewound.rewind(0, Timestamp::UNIX_EPOCH);
        assert_eq!(rewound, Cursor::default());
    }

    #[test]
    fn advance_never_moves_back() {
        let mut advanced = cursor(&[(0, 5)]);
        advanced.advance(0, (at(4), JobId::from_bytes([9; 16])));
        assert_eq!(advanced, cursor(&[(0, 5)]));
    }

    #[test]
    fn passed_priorities_keep_their_positions() {
        let older = cursor(&[(1, 1), (3, 1), (5, 1)]);
        let mut full = cursor(&[(3, 2)]);
        full.keep_passed(&older, true);
        assert_eq!(full, cursor(&[(3, 2), (5, 1)]));
        let mut ended = cursor(&[(3, 2)]);
        ended.keep_passed(&older, false);
        assert_eq!(ended, cursor(&[(1, 1), (3, 2), (5, 1)]));
    }
}
