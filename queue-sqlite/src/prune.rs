//! Removing finished jobs that are old.

use std::collections::BTreeSet;
use std::time::Duration;

use queue_core::backend::Prune;
use queue_core::{JobId, State, Timestamp};
use rusqlite::{Connection, params};

use crate::error::Outcome;
use crate::lists::array;
use crate::{row, state};

const FIND: &str = include_str!("sql/prune_find.sql");
const OUTCOMES: &str = include_str!("sql/prune_outcomes.sql");
const ERRORS: &str = include_str!("sql/prune_attempt_errors.sql");
const JOBS: &str = include_str!("sql/prune_jobs.sql");
const WORKERS: &str = include_str!("sql/prune_workers.sql");

const FINISHED: [State; 3] = [State::Completed, State::Cancelled, State::Dead];

/// How long the row of a worker that is gone protects from a second use of its id.
const GONE_WORKERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How far pruning has come. Jobs that are past their retention but whose id is still protected stay
/// where they are: without a place to go on from, they would be all that is ever looked at.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    places: [Option<(i64, i64)>; FINISHED.len()],
    turn: usize,
}

/// How many jobs are looked at for each that may be removed, and at least.
const LOOKS_A_JOB: u32 = 4;
const LEAST_LOOKS: u32 = 1000;

/// The rows of up to `prune.limit` jobs that are to be removed.
pub(crate) fn find(
    connection: &Connection,
    sweep: &mut Sweep,
    now: Timestamp,
    prune: &Prune,
) -> Outcome<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    if prune.limit == 0 {
        return Ok(found);
    }
    let mut room = prune.limit.saturating_mul(LOOKS_A_JOB).max(LEAST_LOOKS);
    // Each state has its turn to be the first, or the one with the most jobs would leave no room.
    sweep.turn = (sweep.turn + 1) % FINISHED.len();
    for step in 0..FINISHED.len() {
        let index = (sweep.turn + step) % FINISHED.len();
        if let (Some(state), Some(place)) = (FINISHED.get(index), sweep.places.get_mut(index)) {
            let piece = Piece { connection, state: *state, now, prune };
            room = piece.find(place, room, &mut found)?;
            if room == 0 || piece.is_full(&found) {
                break;
            }
        }
    }
    Ok(found)
}

struct Piece<'a> {
    connection: &'a Connection,
    state: State,
    now: Timestamp,
    prune: &'a Prune,
}

impl Piece<'_> {
    /// Goes on from `place`, and at the end once more from the beginning. Returns the room left.
    fn find(&self, place: &mut Option<(i64, i64)>, room: u32, found: &mut BTreeSet<i64>) -> Outcome<u32> {
        let mut room = room;
        loop {
            let looked = self.look(*place, room, found)?;
            room -= looked.rows;
            if room == 0 || self.is_full(found) {
                if looked.kept > 0 {
                    *place = looked.last;
                }
                return Ok(room);
            }
            if place.take().is_none() {
                return Ok(room);
            }
        }
    }

    fn is_full(&self, found: &BTreeSet<i64>) -> bool {
        found.len() >= usize::try_from(self.prune.limit).unwrap_or(usize::MAX)
    }

    fn look(&self, place: Option<(i64, i64)>, room: u32, found: &mut BTreeSet<i64>) -> Outcome<Looked> {
        let mut looked = Looked::default();
        let retention = self.prune.retention(self.state).unwrap_or(Duration::MAX);
        let before = self.now.saturating_sub(retention).as_micros();
        let oldest_kept = JobId::least_at(self.now.saturating_sub(self.prune.idempotency_window));
        let (finished_at, seq) = place.unwrap_or((i64::MIN, 0));
        let mut statement = self.connection.prepare_cached(FIND)?;
        let mut rows = statement.query(params![state::number(self.state), before, finished_at, seq, room])?;
        while !self.is_full(found)
            && let Some(row) = rows.next()?
        {
            let seq: i64 = row.get(1)?;
            looked.rows += 1;
            looked.last = Some((row.get(0)?, seq));
            if row::job_id(row, 2)? < oldest_kept {
                found.insert(seq);
            } else {
                looked.kept += 1;
            }
        }
        Ok(looked)
    }
}

#[derive(Default)]
struct Looked {
    rows: u32,
    kept: u32,
    last: Option<(i64, i64)>,
}

/// Removes these jobs with all that belongs to them, and workers that were given up long ago.
pub(crate) fn remove(connection: &Connection, now: Timestamp, jobs: &BTreeSet<i64>) -> Outcome<u64> {
    connection.prepare_cached(WORKERS)?.execute([now.saturating_sub(GONE_WORKERS_KEPT).as_micros()])?;
    if jobs.is_empty() {
        return Ok(0);
    }
    let jobs = array(jobs.iter().copied());
    connection.prepare_cached(OUTCOMES)?.execute([&jobs])?;
    connection.prepare_cached(ERRORS)?.execute([&jobs])?;
    let removed = connection.prepare_cached(JOBS)?.execute([&jobs])?;
    Ok(u64::try_from(removed).unwrap_or(u64::MAX))
}
