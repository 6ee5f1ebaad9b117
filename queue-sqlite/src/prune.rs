//! Removing finished jobs that are old.

use std::time::Duration;

use queue_core::backend::Prune;
use queue_core::{JobId, State, Timestamp};
use rusqlite::{Connection, Row};

use crate::error::Outcome;
use crate::lists::array;
use crate::rescue::write_workers;
use crate::unwritable::write_all_or_each;
use crate::writer::session::Session;
use crate::{row, state, unwritable};

const FIND: &str = include_str!("sql/prune_find.sql");
const OUTCOMES: &str = include_str!("sql/prune_outcomes.sql");
const ERRORS: &str = include_str!("sql/prune_attempt_errors.sql");
const JOBS: &str = include_str!("sql/prune_jobs.sql");
const GONE_WORKERS: &str = include_str!("sql/workers_gone.sql");
const WORKERS: &str = include_str!("sql/prune_workers.sql");

const FINISHED: [State; 3] = [State::Completed, State::Cancelled, State::Dead];

/// How long the row of a worker that is gone protects from a second use of its id.
const GONE_WORKERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many finished jobs are looked at for each that may be removed, and at least.
const LOOKS_A_JOB: u32 = 4;
const LEAST_LOOKS: u32 = 1000;

/// The finished job behind which the sweep goes on; by default it begins with the first.
///
/// Only a hint: each job is checked when it is found. Commits of other connections must not reset
/// it, otherwise two processes that prune keep each other at the first jobs. It begins anew by
/// itself.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Place(i64);

/// A piece of the sweep.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// The rows of jobs that are to be removed.
    pub(crate) jobs: Vec<i64>,
    /// Where the next piece begins.
    pub(crate) next: Place,
}

/// Looks from `place` on for up to `prune.limit` jobs that are to be removed.
///
/// The sweep goes by age, as rows are numbered, and no job ends before it is created: at the first one
/// that is younger than what is kept shortest the sweep is over, and the next piece begins anew. So
/// only old jobs cost a look, and none an index. If a clock goes back, the sweep ends too early until
/// that time has passed again.
pub(crate) fn find(connection: &Connection, place: Place, now: Timestamp, prune: &Prune) -> Outcome<Piece> {
    let cutoffs = Cutoffs::new(now, prune);
    let mut piece = Piece::default();
    let mut statement = connection.prepare_cached(FIND)?;
    let mut rows = statement.query([place.0])?;
    for _ in 0..prune.limit.saturating_mul(LOOKS_A_JOB).max(LEAST_LOOKS) {
        if piece.jobs.len() >= usize::try_from(prune.limit).unwrap_or(usize::MAX) {
            break;
        }
        let row = match rows.next()? {
            Some(row) if row.get::<_, i64>(1)? < cutoffs.young => row,
            _ => {
                piece.next = Place::default();
                break;
            }
        };
        let (seq, created_at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if cutoffs.are_passed(row)? {
            piece.jobs.push(seq);
        }
        // Those that are kept for their ids alone can be very many: they are no place to go on from.
        piece.next = if created_at < cutoffs.protected { Place(seq) } else { Place::default() };
    }
    Ok(piece)
}

/// What is older than these is not kept.
struct Cutoffs {
    ended: [(i64, i64); FINISHED.len()],
    oldest_kept: JobId,
    /// Jobs created since then are all kept, and
    young: i64,
    /// those since then, unless their id is older than they are.
    protected: i64,
}

impl Cutoffs {
    fn new(now: Timestamp, prune: &Prune) -> Self {
        let ended = FINISHED.map(|state| {
            let retention = prune.retention(state).unwrap_or(Duration::MAX);
            (state::number(state), now.saturating_sub(retention).as_micros())
        });
        let protected = now.saturating_sub(prune.idempotency_window);
        Self {
            ended,
            oldest_kept: JobId::least_at(protected),
            young: ended.iter().map(|(_, cutoff)| *cutoff).max().unwrap_or(i64::MIN),
            protected: protected.as_micros(),
        }
    }

    fn are_passed(&self, row: &Row<'_>) -> Outcome<bool> {
        let (state, finished_at): (i64, i64) = (row.get(2)?, row.get(3)?);
        let is_old = self.ended.iter().any(|(of, cutoff)| *of == state && finished_at < *cutoff);
        Ok(is_old && row::job_id(row, 4)? < self.oldest_kept)
    }
}

/// Whether there are workers that were given up long ago.
pub(crate) fn has_gone_workers(connection: &Connection, now: Timestamp) -> Outcome<bool> {
    let cutoff = now.saturating_sub(GONE_WORKERS_KEPT).as_micros();
    Ok(connection.prepare_cached(GONE_WORKERS)?.exists([cutoff])?)
}

/// Removes these jobs with all that belongs to them, and workers that were given up long ago. A row
/// that cannot be removed is passed over.
pub(crate) fn remove(session: &mut Session, now: Timestamp, jobs: &[i64]) -> Outcome<u64> {
    write_workers(session, now.saturating_sub(GONE_WORKERS_KEPT), GONE_WORKERS, WORKERS)?;
    let removed = write_all_or_each(session, now, jobs, |job| unwritable::Row::Job(*job), remove_together)?;
    Ok(removed.into_iter().map(|many| u64::try_from(many).unwrap_or(u64::MAX)).sum())
}

fn remove_together(session: &mut Session, jobs: &[i64]) -> Outcome<usize> {
    let connection = &session.connection;
    let jobs = array(jobs.iter().copied());
    connection.prepare_cached(OUTCOMES)?.execute([&jobs])?;
    connection.prepare_cached(ERRORS)?.execute([&jobs])?;
    Ok(connection.prepare_cached(JOBS)?.execute([&jobs])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IfMissing, SqliteConfig};
    use crate::connection::open_writer;

    /// 3,000 dead jobs, behind them one that completed as long ago, then recent ones.
    const FILL: &str = "
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
        INSERT INTO queue_jobs (seq, id, kind, queue, priority, run_at, max_retries, timeout, created_at, payload)
        SELECT i, randomblob(16), 1, 1, 0, 0, 3, 1000, iif(i <= 3001, 0, 60000000), '{}' FROM n;
        INSERT INTO queue_outcomes (seq, state, finished_at, attempt)
        SELECT seq, iif(seq <= 3000, 5, 4), created_at, 1 FROM queue_jobs;
        UPDATE queue_jobs SET id = zeroblob(16) WHERE seq = 3001;";

    #[test]
    fn the_sweep_comes_past_what_is_kept_in_bounded_pieces_and_begins_anew() {
        let connection = open_writer(&SqliteConfig::in_memory(), IfMissing::Create).unwrap();
        connection.execute_batch(FILL).unwrap();
        let second = Duration::from_secs(1);
        let prune = Prune::default().completed(second * 10).idempotency_window(second).limit(10);
        let now = Timestamp::UNIX_EPOCH.saturating_add(second * 61);
        let mut place = Place::default();
        let mut pieces = Vec::new();
        for _ in 0..5 {
            let piece = find(&connection, place, now, &prune).unwrap();
            place = piece.next;
            pieces.push((piece.jobs, place.0));
        }
        let nothing = |place| (Vec::new(), place);
        assert_eq!(pieces, [nothing(1000), nothing(2000), nothing(3000), (vec![3001], 0), nothing(1000)]);
    }
}
