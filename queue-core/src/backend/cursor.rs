//! Where a worker's claims of a queue have come to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{JobId, Timestamp};

/// The place of a job within its priority level.
pub type Position = (Timestamp, JobId);

/// For each priority level that a worker claimed from, the place of the job it claimed last.
///
/// A claim that starts at the head walks over whatever stands there and cannot be taken: index
/// entries that the database may not remove yet, jobs of kinds that the worker does not handle. A
/// claim with a cursor looks at each level only behind its position, and at levels that the cursor
/// does not name from their head.
///
/// What comes to stand before a position (a late commit, a promoted, released or retried job) is
/// found by a wake-up ([`rewind`](Self::rewind)), by looking back a little
/// ([`look_back`](Self::look_back)), and at the latest by a claim from the head. An empty claim with
/// a cursor therefore never means an empty queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    levels: BTreeMap<i16, Position>,
}

impl Cursor {
    /// A cursor that names no level: the same as the head.
    #[must_use]
    pub const fn new() -> Self {
        Self { levels: BTreeMap::new() }
    }

    /// Behind which place of the level to go on; `None` is the level's head.
    #[must_use]
    pub fn position(&self, priority: i16) -> Option<Position> {
        self.levels.get(&priority).copied()
    }

    /// The levels that it names and the place in each, the most urgent first.
    pub fn levels(&self) -> impl Iterator<Item = (i16, Position)> {
        self.levels.iter().rev().map(|(priority, position)| (*priority, *position))
    }

    /// Goes on behind this place of the level.
    pub fn advance(&mut self, priority: i16, position: Position) {
        self.levels.insert(priority, position);
    }

    /// Goes back so that a job of the level with this `run_at` is seen.
    pub fn rewind(&mut self, priority: i16, run_at: Timestamp) {
        if let Some(position) = self.levels.get_mut(&priority)
            && position.0 >= run_at
        {
            *position = (run_at.saturating_sub(Duration::from_micros(1)), JobId::from_bytes([0xff; 16]));
            if run_at == Timestamp::UNIX_EPOCH {
                self.levels.remove(&priority);
            }
        }
    }

    /// Goes on behind the later position of the two, level by level.
    pub fn merge(&mut self, other: &Self) {
        for (&priority, &position) in &other.levels {
            let kept = self.levels.entry(priority).or_insert(position);
            *kept = position.max(*kept);
        }
    }

    /// After a claim from the head that came back with this cursor: names those levels of `older`, too, that
    /// the claim passed by, which are all above the lowest that it took a job of, or all if it ended before
    /// its limit. Otherwise a claim would start at the head of a level whose jobs are all taken.
    #[cfg(feature = "runtime")]
    pub(crate) fn keep_passed(&mut self, older: &Self, came_to_limit: bool) {
        let lowest = if came_to_limit { self.levels.keys().next().copied() } else { None };
        for (&priority, &position) in &older.levels {
            if lowest.is_none_or(|lowest| priority > lowest) {
                self.levels.entry(priority).or_insert(position);
            }
        }
    }

    /// The same cursor, with every level moved back by `duration`.
    #[must_use]
    pub fn look_back(&self, duration: Duration) -> Self {
        let mut back = self.clone();
        for (&priority, position) in &self.levels {
            back.rewind(priority, position.0.saturating_sub(duration));
        }
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    #[test]
    fn rewinding_reveals_the_named_moment_and_nothing_else_moves() {
        let mut cursor = Cursor::new();
        let id = JobId::generate();
        cursor.advance(1, (at(100), id));
        cursor.advance(2, (at(100), id));
        cursor.rewind(1, at(50));
        assert!(cursor.position(1).unwrap() < (at(50), JobId::from_bytes([0; 16])));
        assert_eq!(cursor.position(2), Some((at(100), id)));
        assert_eq!(cursor.levels().map(|(priority, _)| priority).collect::<Vec<_>>(), [2, 1]);
        cursor.rewind(2, at(101));
        assert_eq!(cursor.position(2), Some((at(100), id)), "a later job needs no rewind");
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn levels_that_a_claim_passed_by_are_kept_and_those_below_it_are_not() {
        let place = |micros| (at(micros), JobId::generate());
        let (mut older, mut reached) = (Cursor::new(), Cursor::new());
        for priority in [1, 3, 5] {
            older.advance(priority, place(1));
        }
        reached.advance(3, place(2));
        let mut all = reached.clone();
        reached.keep_passed(&older, true);
        assert_eq!(reached.levels().map(|(priority, _)| priority).collect::<Vec<_>>(), [5, 3]);
        assert_eq!(reached.position(3).map(|(run_at, _)| run_at), Some(at(2)), "the newer place");
        all.keep_passed(&older, false);
        assert_eq!(all.levels().count(), 3);
    }

    #[test]
    fn rewinding_to_the_first_moment_is_the_head() {
        let mut cursor = Cursor::new();
        cursor.advance(0, (at(5), JobId::generate()));
        assert_eq!(cursor.look_back(Duration::from_secs(2)), Cursor::new());
    }
}
