//! Making jobs ready whose time has come.

use std::collections::BTreeMap;
use std::time::Duration;

use queue_core::backend::Hint;
use queue_core::{QueueName, Timestamp};
use rusqlite::{Connection, params};

use crate::error::Outcome;
use crate::lists::array;
use crate::names::Names;
use crate::row;

const DUE: &str = include_str!("sql/promote_due.sql");
const PROMOTE: &str = include_str!("sql/promote.sql");
const NEXT_DUE: &str = include_str!("sql/next_due.sql");
const NEXT_WAITING_QUEUE: &str = include_str!("sql/next_waiting_queue.sql");

/// What became ready: for each level of a queue the least `run_at`.
pub(crate) type Levels = BTreeMap<i16, Timestamp>;

/// Makes up to `limit` due jobs of a queue ready, those that are due longest first.
pub(crate) fn promote_queue(
    connection: &Connection,
    queue: i64,
    now: Timestamp,
    limit: u32,
) -> Outcome<(u32, Levels)> {
    let mut levels = Levels::new();
    let mut due = Vec::new();
    {
        let mut statement = connection.prepare_cached(DUE)?;
        let mut rows = statement.query(params![queue, now.as_micros(), limit])?;
        while let Some(row) = rows.next()? {
            due.push(row.get(0)?);
            let run_at = row::time(row, 2)?;
            let least = levels.entry(row.get(1)?).or_insert(run_at);
            *least = run_at.min(*least);
        }
    }
    if due.is_empty() {
        return Ok((0, levels));
    }
    let promoted = connection.prepare_cached(PROMOTE)?.execute([array(due)])?;
    Ok((u32::try_from(promoted).unwrap_or(u32::MAX), levels))
}

/// Makes up to `limit` due jobs ready, of all queues. Adds hints to `ready`.
pub(crate) fn promote_all(
    connection: &Connection,
    names: &mut Names,
    now: Timestamp,
    limit: u32,
    ready: &mut Vec<Hint>,
) -> Outcome<u32> {
    let mut promoted = 0;
    let mut last = None;
    while promoted < limit
        && let Some(queue) = next_waiting_queue(connection, last)?
    {
        let (many, levels) = promote_queue(connection, queue, now, limit - promoted)?;
        promoted += many;
        if !levels.is_empty() {
            hint(ready, &names.queue(connection, queue)?, levels);
        }
        last = Some(queue);
    }
    Ok(promoted)
}

/// Adds a hint for each level.
pub(crate) fn hint(ready: &mut Vec<Hint>, queue: &QueueName, levels: Levels) {
    let hints = levels.into_iter().map(|(priority, run_at)| Hint {
        queue: queue.clone(),
        priority,
        run_at,
        due_in: Duration::ZERO,
    });
    ready.extend(hints);
}

/// How long until a waiting job of the queue is due; zero if one is.
pub(crate) fn next_due(connection: &Connection, queue: i64, now: Timestamp) -> Outcome<Option<Duration>> {
    connection.prepare_cached(NEXT_DUE)?.query_row([queue], |row| {
        let waits: Option<i64> = row.get(0)?;
        Ok(waits.is_some().then(|| row::time(row, 0).map(|run_at| now.until(run_at))).transpose())
    })?
}

/// How long until a waiting job of any queue is due; zero if one is.
pub(crate) fn next_due_of_any(connection: &Connection, now: Timestamp) -> Outcome<Option<Duration>> {
    let mut first: Option<Duration> = None;
    let mut last = None;
    while let Some(queue) = next_waiting_queue(connection, last)? {
        let due = next_due(connection, queue, now)?;
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
