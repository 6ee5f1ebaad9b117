//! Promotes due jobs.

use std::time::Duration;

use queue_core::backend::{Hint, WakeHints};
use queue_core::{QueueName, Timestamp};
use rusqlite::{Connection, params};

use crate::error::{Outcome, corrupt};
use crate::lists::array;
use crate::row;
use crate::unwritable::{Row, Unwritable, write_all_or_each};
use crate::writer::session::Session;

const DUE: &str = include_str!("sql/promote_due.sql");
const PROMOTE: &str = include_str!("sql/promote.sql");
const NEXT_DUE: &str = include_str!("sql/next_due.sql");
const WAITING: &str = include_str!("sql/waiting.sql");
const NEXT_WAITING_QUEUE: &str = include_str!("sql/next_waiting_queue.sql");

/// A waiting job that is due.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    seq: i64,
    priority: i16,
    run_at: Timestamp,
}

/// Promotes up to `limit` due jobs of a queue, earliest first, and returns them. Skips a job that
/// cannot be written.
pub(crate) fn promote_queue(
    session: &mut Session,
    queue: i64,
    now: Timestamp,
    limit: u32,
) -> Outcome<Vec<Due>> {
    let due = due(session, queue, now, limit)?;
    let promoted = write_all_or_each(session, now, &due, |job| Row::Job(job.seq), promote)?;
    Ok(promoted.concat())
}

/// The due jobs, without the unwritable ones.
fn due(session: &mut Session, queue: i64, now: Timestamp, limit: u32) -> Outcome<Vec<Due>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let Session { connection, unwritable, .. } = session;
    let mut due = Vec::new();
    let mut statement = connection.prepare_cached(DUE)?;
    let mut rows = statement.query(params![queue, now.as_micros()])?;
    while due.len() < limit
        && let Some(row) = rows.next()?
    {
        let seq = row.get(0)?;
        if unwritable.is_left_alone(Row::Job(seq), now) {
            continue;
        }
        match read(row) {
            Ok(job) => due.push(job),
            Err(fault) => unwritable.pass_over(Row::Job(seq), now, fault)?,
        }
    }
    Ok(due)
}

fn read(row: &rusqlite::Row<'_>) -> Outcome<Due> {
    Ok(Due { seq: row.get(0)?, priority: row.get(1)?, run_at: row::time(row, 2)? })
}

fn promote(session: &mut Session, jobs: &[Due]) -> Outcome<Vec<Due>> {
    let seqs = array(jobs.iter().map(|job| job.seq));
    let promoted = session.connection.prepare_cached(PROMOTE)?.execute([seqs])?;
    if promoted != jobs.len() {
        return Err(corrupt("a due job was not made ready, though no error was reported"));
    }
    Ok(jobs.to_vec())
}

/// Promotes up to `limit` due jobs of all queues. Returns how many.
pub(crate) fn promote_all(
    session: &mut Session,
    now: Timestamp,
    limit: u32,
    hints: &mut WakeHints,
) -> Outcome<u32> {
    let mut promoted = 0;
    let mut last = None;
    while promoted < limit
        && let Some(queue) = next_waiting_queue(&session.connection, last)?
    {
        let jobs = promote_queue(session, queue, now, limit - promoted)?;
        promoted += u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        if !jobs.is_empty() {
            match session.names.queue(&session.connection, queue) {
                Ok(name) => hints.extend(ready(&name, &jobs)),
                // No worker can claim from a queue whose name is unreadable.
                Err(fault) if fault.is_of_a_value() => {}
                Err(fault) => return Err(fault),
            }
        }
        last = Some(queue);
    }
    Ok(promoted)
}

/// The hints for promoted jobs.
pub(crate) fn ready<'a>(queue: &'a QueueName, jobs: &'a [Due]) -> impl Iterator<Item = Hint> + 'a {
    jobs.iter().map(|job| Hint::new(queue.clone(), job.priority, job.run_at))
}

/// Time until a waiting job of the queue is due; zero if one is due. An unwritable job is due when
/// the next attempt to write it is.
pub(crate) fn next_due(
    connection: &Connection,
    unwritable: &Unwritable,
    queue: i64,
    now: Timestamp,
) -> Outcome<Option<Duration>> {
    if !unwritable.is_empty() {
        return next_writable_due(connection, unwritable, queue, now);
    }
    let first: Option<i64> = connection.prepare_cached(NEXT_DUE)?.query_row([queue], |row| row.get(0))?;
    Ok(first.map(|run_at| now.until(due_time(run_at))))
}

/// Like [`next_due`], without the unwritable jobs.
fn next_writable_due(
    connection: &Connection,
    unwritable: &Unwritable,
    queue: i64,
    now: Timestamp,
) -> Outcome<Option<Duration>> {
    let mut first: Option<Duration> = None;
    let mut statement = connection.prepare_cached(WAITING)?;
    let mut rows = statement.query([queue])?;
    while let Some(row) = rows.next()? {
        let (seq, run_at) = (row.get(0)?, due_time(row.get(1)?));
        let tried_again_at = unwritable.tried_again_at(Row::Job(seq), now);
        let due = now.until(tried_again_at.map_or(run_at, |at| at.max(run_at)));
        first = Some(first.map_or(due, |first| first.min(due)));
        // Later jobs are due later.
        if tried_again_at.is_none() {
            break;
        }
    }
    Ok(first)
}

/// An unreadable time counts as due, so that the promotion finds the job and skips it.
fn due_time(run_at: i64) -> Timestamp {
    Timestamp::from_micros(run_at).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Time until a waiting job of any queue is due; zero if one is due.
pub(crate) fn next_due_of_any(
    connection: &Connection,
    unwritable: &Unwritable,
    now: Timestamp,
) -> Outcome<Option<Duration>> {
    let mut first: Option<Duration> = None;
    let mut last = None;
    while let Some(queue) = next_waiting_queue(connection, last)? {
        let due = next_due(connection, unwritable, queue, now)?;
        first = first.into_iter().chain(due).min();
        last = Some(queue);
    }
    Ok(first)
}

fn next_waiting_queue(connection: &Connection, last: Option<i64>) -> Outcome<Option<i64>> {
    Ok(connection
        .prepare_cached(NEXT_WAITING_QUEUE)?
        .query_row([last.unwrap_or(i64::MIN)], |row| row.get(0))?)
}
