//! Rescues the jobs of lost workers and the jobs past their deadline.

use queue_core::backend::{DEADLINE_PASSED_ERROR, Hint, WORKER_LOST_ERROR, WakeHints};
use queue_core::{JobState, Timestamp};
use rusqlite::Connection;

use crate::error::Outcome;
use crate::finish::{AttemptFailure, Finish, finish, record_failures};
use crate::lists::array;
use crate::row;
use crate::settle::{NextState, end_lease};
use crate::unwritable::{Row, write_all_or_each};
use crate::writer::session::Session;

const NEEDED: &str = include_str!("sql/rescue_needed.sql");
const EXPIRED: &str = include_str!("sql/workers_expired.sql");
const LOSE: &str = include_str!("sql/worker_lose.sql");
const OF_LOST: &str = include_str!("sql/rescue_of_lost.sql");
const OVERDUE: &str = include_str!("sql/rescue_overdue.sql");
const WITHOUT_LEASES: &str = include_str!("sql/workers_without_leases.sql");
const SETTLE: &str = include_str!("sql/worker_lost_done.sql");

/// The result of a rescue.
#[derive(Default)]
pub(crate) struct Rescued {
    pub(crate) workers_lost: u64,
    pub(crate) rescued: u64,
    pub(crate) died: u64,
    pub(crate) hints: WakeHints,
}

pub(crate) fn is_needed(connection: &Connection, now: Timestamp) -> Outcome<bool> {
    Ok(connection.prepare_cached(NEEDED)?.query_row([now.as_micros()], |row| row.get(0))?)
}

/// Marks expired workers as lost, which is final, and then takes back up to `limit` leases. Skips a
/// row that cannot be written.
pub(crate) fn rescue(session: &mut Session, now: Timestamp, limit: u32) -> Outcome<Rescued> {
    let workers_lost = write_workers(session, now, EXPIRED, LOSE)?;
    let mut done = Rescued { workers_lost, ..Rescued::default() };
    let of_lost = leases(session, OF_LOST, now, limit)?;
    let room = limit.saturating_sub(u32::try_from(of_lost.len()).unwrap_or(u32::MAX));
    let overdue = leases(session, OVERDUE, now, room)?;
    for (leases, error) in [(of_lost, WORKER_LOST_ERROR), (overdue, DEADLINE_PASSED_ERROR)] {
        let take = |session: &mut Session, leases: &[Lease]| take_back(session, now, leases, error);
        for more in write_all_or_each(session, now, &leases, |lease| Row::Job(lease.seq), take)? {
            done.rescued += more.rescued;
            done.died += more.died;
            done.hints.append(&more.hints);
        }
    }
    write_workers(session, now, WITHOUT_LEASES, SETTLE)?;
    Ok(done)
}

/// Runs `write` on the workers that `find` returns, except on unwritable ones. Returns the number
/// of workers written.
pub(crate) fn write_workers(session: &mut Session, time: Timestamp, find: &str, write: &str) -> Outcome<u64> {
    let mut workers: Vec<i64> = Vec::new();
    {
        let Session { connection, unwritable, .. } = &*session;
        let mut statement = connection.prepare_cached(find)?;
        let mut rows = statement.query([time.as_micros()])?;
        while let Some(row) = rows.next()? {
            let worker = row.get(0)?;
            if !unwritable.is_left_alone(Row::Worker(worker), time) {
                workers.push(worker);
            }
        }
    }
    let written = write_all_or_each(
        session,
        time,
        &workers,
        |worker| Row::Worker(*worker),
        |session, some| {
            Ok(session.connection.prepare_cached(write)?.execute([array(some.iter().copied())])?)
        },
    )?;
    Ok(written.into_iter().map(|many| u64::try_from(many).unwrap_or(u64::MAX)).sum())
}

struct Lease {
    seq: i64,
    queue: i64,
    priority: i16,
    run_at: Timestamp,
    attempt: u32,
    max_retries: u16,
    has_ties: bool,
    worker: Option<i64>,
}

/// Up to `limit` readable leases, without the unwritable ones.
fn leases(session: &mut Session, sql: &str, now: Timestamp, limit: u32) -> Outcome<Vec<Lease>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let Session { connection, unwritable, .. } = session;
    let mut leases = Vec::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([now.as_micros()])?;
    while leases.len() < limit
        && let Some(row) = rows.next()?
    {
        let seq = row.get(0)?;
        if unwritable.is_left_alone(Row::Job(seq), now) {
            continue;
        }
        match lease(row) {
            Ok(lease) => leases.push(lease),
            Err(fault) => unwritable.pass_over(Row::Job(seq), now, fault)?,
        }
    }
    Ok(leases)
}

fn lease(row: &rusqlite::Row<'_>) -> Outcome<Lease> {
    Ok(Lease {
        seq: row.get(0)?,
        queue: row.get(1)?,
        priority: row.get(2)?,
        run_at: row::time(row, 3)?,
        attempt: row.get(4)?,
        max_retries: row.get(5)?,
        has_ties: row::has_ties(row, 6)?,
        worker: row.get(7)?,
    })
}

fn take_back(session: &mut Session, now: Timestamp, leases: &[Lease], error: &str) -> Outcome<Rescued> {
    let Session { connection, names, watched, .. } = session;
    let mut done = Rescued::default();
    let mut finished = Vec::new();
    let mut failures = Vec::with_capacity(leases.len());
    for &Lease { seq, queue, priority, run_at, attempt, max_retries, has_ties, worker } in leases {
        failures.push(AttemptFailure { seq, attempt, error, ran_for: None, worker });
        if attempt > u32::from(max_retries) {
            // No claim, because the lost one did not finish the job: its settle must return
            // `LeaseLost`.
            let (claim, result) = (None, None);
            let (state, error) = (JobState::Dead, Some(error));
            finished.push(Finish { seq, state, attempt, claim, error, result, has_ties });
        } else {
            end_lease(connection, seq, &NextState { state: JobState::Ready, run_at, attempt })?;
            done.hints.add(Hint::new(names.queue(connection, queue)?, priority, run_at));
            done.rescued += 1;
        }
    }
    done.died += u64::try_from(finished.len()).unwrap_or(u64::MAX);
    record_failures(connection, now, &failures)?;
    finish(connection, watched, now, &finished, &mut done.hints)?;
    Ok(done)
}
