//! How far claims have come: what keeps them from walking over entries of jobs that are long gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue_core::backend::{ClaimedJob, Cursor, Position};
use queue_core::{QueueName, Timestamp};

/// How far behind the last look waiting jobs are looked for again: their commit may be late.
const LOOK_BACK: Duration = Duration::from_secs(2);

/// What the handle remembers of each queue.
///
/// While an old snapshot is held PostgreSQL cannot remove index entries, and whoever starts at the head of a
/// level walks over those of all jobs that were taken since. A claim with a cursor starts behind them; and this
/// keeps the cursor from forgetting a level whose jobs are all taken, and the search for waiting jobs from starting
/// at the beginning of time. Nothing here is needed to be correct: a claim from the head looks at everything.
#[derive(Debug, Default)]
pub(crate) struct Levels(Mutex<HashMap<QueueName, Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// For each level the last job that was claimed.
    positions: BTreeMap<i16, Position>,
    /// All that waited for a time before this one was promoted.
    promoted_until: Option<Timestamp>,
}

impl Levels {
    /// Behind which time a claim with a cursor looks for waiting jobs.
    pub(crate) fn waiting_after(&self, queue: &QueueName) -> Option<Timestamp> {
        let until = self.lock().get(queue)?.promoted_until?;
        Some(until.saturating_sub(LOOK_BACK))
    }

    /// Takes note that nothing that waits is due before `now`.
    pub(crate) fn promoted(&self, queue: &QueueName, now: Timestamp) {
        self.lock().entry(queue.clone()).or_default().promoted_until = Some(now);
    }

    /// The cursor after a claim, from that of its request and the jobs that it took.
    ///
    /// After a claim from the head it also names the levels that the claim passed by: all above the lowest
    /// that it took a job of, or all, if it did not come to its limit.
    pub(crate) fn cursor(
        &self,
        queue: &QueueName,
        asked: Option<Cursor>,
        jobs: &[ClaimedJob],
        is_full: bool,
    ) -> Cursor {
        let mut seen = self.lock();
        let positions = &mut seen.entry(queue.clone()).or_default().positions;
        let from_head = asked.is_none();
        let mut cursor = asked.unwrap_or_default();
        if from_head {
            let lowest = if is_full { jobs.last().map(|job| job.priority) } else { None };
            let passed = positions.iter().filter(|(level, _)| lowest.is_none_or(|lowest| **level > lowest));
            passed.for_each(|(level, position)| cursor.advance(*level, *position));
        }
        for job in jobs {
            let position = (job.run_at, job.token.job);
            cursor.advance(job.priority, position);
            positions.insert(job.priority, position);
        }
        cursor
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueName, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use queue_core::{ClaimId, JobId, Kind, Payload, Token};

    use super::*;

    fn job(priority: i16, run_at: i64) -> ClaimedJob {
        ClaimedJob {
            token: Token { job: JobId::generate(), claim: ClaimId::from_bytes([0; 16]) },
            kind: Kind::new("job").unwrap(),
            queue: QueueName::default(),
            priority,
            run_at: Timestamp::from_micros(run_at).unwrap(),
            attempt: 1,
            max_retries: 3,
            timeout: Duration::ZERO,
            backoff: None,
            payload: Payload::from_stored("{}"),
        }
    }

    #[test]
    fn a_level_that_was_passed_by_is_named_and_one_that_was_not_reached_is_not() {
        let (levels, queue) = (Levels::default(), QueueName::default());
        let first = [job(5, 10), job(1, 10)];
        levels.cursor(&queue, None, &first, false);
        let full = levels.cursor(&queue, None, &[job(3, 20)], true);
        assert!(full.position(5).is_some(), "above the lowest");
        assert!(full.position(1).is_none(), "not reached");
        let all = levels.cursor(&queue, None, &[], false);
        assert!(all.position(5).is_some() && all.position(1).is_some() && all.position(3).is_some());
    }

    #[test]
    fn a_cursor_that_was_given_only_moves_on() {
        let (levels, queue) = (Levels::default(), QueueName::default());
        levels.cursor(&queue, None, &[job(5, 10)], false);
        let cursor = levels.cursor(&queue, Some(Cursor::new()), &[job(1, 10)], false);
        assert!(cursor.position(5).is_none() && cursor.position(1).is_some());
    }
}
