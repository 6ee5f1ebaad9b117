//! Removes old finished jobs.

use std::time::Duration;

use queue_core::backend::Prune;
use queue_core::{JobId, JobState, Timestamp};
use rusqlite::{Connection, Row};

use crate::error::Outcome;
use crate::lists::array;
use crate::rescue::write_workers;
use crate::unwritable::write_all_or_each;
use crate::writer::session::Session;
use crate::{row, state, unwritable};

const FIND: &str = include_str!("sql/prune_find.sql");
pub(crate) const OUTCOMES_DELETE: &str = include_str!("sql/outcomes_delete.sql");
const ERRORS: &str = include_str!("sql/prune_attempt_errors.sql");
const JOBS: &str = include_str!("sql/prune_jobs.sql");
const REMOVABLE_WORKERS: &str = include_str!("sql/workers_gone.sql");
const WORKERS: &str = include_str!("sql/prune_workers.sql");

const FINISHED: [JobState; 3] = [JobState::Completed, JobState::Cancelled, JobState::Dead];

/// How long the row of a lost or retired worker is kept, so that its id is not registered again.
const WORKER_ROWS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of finished jobs that one step reads: this many per job of the limit, but at
/// least `MIN_READS`.
const READS_PER_JOB: u32 = 4;
const MIN_READS: u32 = 1000;

/// The finished job after which the sweep continues. The default is before the first job.
///
/// Only a hint, because each job is checked when it is found. Commits of other connections must not
/// reset it. Otherwise two processes that prune keep each other at the first jobs. A wrong position
/// ends with the sweep.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct SweepPosition(i64);

/// One step of the sweep.
#[derive(Debug, Default)]
pub(crate) struct SweepStep {
    /// The rows of the jobs to remove.
    pub(crate) jobs: Vec<i64>,
    /// Where the next step begins.
    pub(crate) next: SweepPosition,
}

/// Finds up to `prune.limit` jobs to remove, after `position`.
///
/// Rows are numbered by age, and no job finishes before it is created. So the sweep ends at the
/// first job that is younger than the shortest retention, and the next step starts over. It reads
/// only old jobs and needs no index. After a clock was set back, the sweep ends too early until the
/// clock has caught up.
pub(crate) fn find(
    connection: &Connection,
    position: SweepPosition,
    now: Timestamp,
    prune: &Prune,
) -> Outcome<SweepStep> {
    let cutoffs = Cutoffs::new(now, prune);
    let mut step = SweepStep::default();
    let mut statement = connection.prepare_cached(FIND)?;
    let mut rows = statement.query([position.0])?;
    for _ in 0..prune.limit.saturating_mul(READS_PER_JOB).max(MIN_READS) {
        if step.jobs.len() >= usize::try_from(prune.limit).unwrap_or(usize::MAX) {
            break;
        }
        let row = match rows.next()? {
            Some(row) if row.get::<_, i64>(1)? < cutoffs.young => row,
            _ => {
                step.next = SweepPosition::default();
                break;
            }
        };
        let (seq, created_at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if cutoffs.are_passed(row)? {
            step.jobs.push(seq);
        }
        // A job kept only for its id is no position to continue from, because there may be very
        // many.
        step.next =
            if created_at < cutoffs.protected { SweepPosition(seq) } else { SweepPosition::default() };
    }
    Ok(step)
}

/// Times before which jobs are removed.
struct Cutoffs {
    ended: [(i64, i64); FINISHED.len()],
    oldest_kept: JobId,
    /// All jobs created later are kept.
    young: i64,
    /// Jobs created later are kept, unless their id is older than they are.
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

/// Whether rows of lost or retired workers are old enough to remove.
pub(crate) fn has_removable_workers(connection: &Connection, now: Timestamp) -> Outcome<bool> {
    let cutoff = now.saturating_sub(WORKER_ROWS_KEPT).as_micros();
    Ok(connection.prepare_cached(REMOVABLE_WORKERS)?.exists([cutoff])?)
}

/// Removes these jobs with all their rows, and old rows of lost or retired workers. Skips a row
/// that cannot be removed.
pub(crate) fn remove(session: &mut Session, now: Timestamp, jobs: &[i64]) -> Outcome<u64> {
    write_workers(session, now.saturating_sub(WORKER_ROWS_KEPT), REMOVABLE_WORKERS, WORKERS)?;
    let removed = write_all_or_each(session, now, jobs, |job| unwritable::Row::Job(*job), remove_together)?;
    Ok(removed.into_iter().map(|many| u64::try_from(many).unwrap_or(u64::MAX)).sum())
}

fn remove_together(session: &mut Session, jobs: &[i64]) -> Outcome<usize> {
    let connection = &session.connection;
    let jobs = array(jobs.iter().copied());
    connection.prepare_cached(OUTCOMES_DELETE)?.execute([&jobs])?;
    connection.prepare_cached(ERRORS)?.execute([&jobs])?;
    Ok(connection.prepare_cached(JOBS)?.execute([&jobs])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IfMissing, SqliteConfig};
    use crate::connection::open_writer;

    /// 3,000 dead jobs, then a completed job of the same age, then recent jobs.
    const FILL: &str = "
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
        INSERT INTO queue_jobs (seq, id, kind, queue, priority, run_at, max_retries, timeout, created_at, payload)
        SELECT i, randomblob(16), 1, 1, 0, 0, 3, 1000, iif(i <= 3001, 0, 60000000), '{}' FROM n;
        INSERT INTO queue_outcomes (seq, state, finished_at, attempt)
        SELECT seq, iif(seq <= 3000, 5, 4), created_at, 1 FROM queue_jobs;
        UPDATE queue_jobs SET id = zeroblob(16) WHERE seq = 3001;";

    #[test]
    fn sweep_passes_kept_jobs_in_bounded_steps() {
        let connection = open_writer(&SqliteConfig::in_memory(), IfMissing::Create).unwrap();
        connection.execute_batch(FILL).unwrap();
        let second = Duration::from_secs(1);
        let prune = Prune::default().completed(second * 10).idempotency_window(second).limit(10);
        let now = Timestamp::UNIX_EPOCH.saturating_add(second * 61);
        let mut position = SweepPosition::default();
        let mut pieces = Vec::new();
        for _ in 0..5 {
            let step = find(&connection, position, now, &prune).unwrap();
            position = step.next;
            pieces.push((step.jobs, position.0));
        }
        let nothing = |position| (Vec::new(), position);
        assert_eq!(pieces, [nothing(1000), nothing(2000), nothing(3000), (vec![3001], 0), nothing(1000)]);
    }
}
