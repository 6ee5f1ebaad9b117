//! Making ready what has become due.

use std::time::Duration;

use queue_core::{JobId, QueueName, Result, State, Timestamp};

use crate::error::Stored as _;
use crate::layout::{Id, Micros};
use crate::rows::{job_id, time};
use crate::tables::Tables;

/// Makes up to `limit` waiting jobs of a queue ready, those first that have waited longest. How many.
pub(crate) fn promote(
    tables: &mut Tables<'_>,
    queue: &QueueName,
    now: Timestamp,
    limit: usize,
) -> Result<usize> {
    let due = due(tables, queue, now, limit)?;
    for &id in &due {
        let old = tables.indexed(id)?;
        let new = old.freed(State::Ready, old.run_at);
        tables.change_live(id, &old, &new)?;
        tables.hints.add(new.hint(now));
    }
    Ok(due.len())
}

/// The first jobs of the queue that are due. They are collected before any is changed.
fn due(tables: &Tables<'_>, queue: &QueueName, now: Timestamp, limit: usize) -> Result<Vec<JobId>> {
    let name = queue.as_str();
    let range = (name, Micros::MIN, Id::MIN)..=(name, now.as_micros(), Id::MAX);
    tables.waiting.keys(range, |(_, _, id)| job_id(id))?.take(limit).collect()
}

/// How long until the first waiting job of the queue is due; zero if it is overdue.
pub(crate) fn next_due(tables: &Tables<'_>, queue: &QueueName, now: Timestamp) -> Result<Option<Duration>> {
    let name = queue.as_str();
    let range = (name, Micros::MIN, Id::MIN)..=(name, Micros::MAX, Id::MAX);
    let first = tables.waiting.keys(range, |(_, run_at, _)| run_at)?.next().transpose()?;
    first.map(|run_at| time(run_at).map(|run_at| now.until(run_at))).transpose()
}

/// How long until the first waiting job of all queues is due.
pub(crate) fn next_due_anywhere(tables: &Tables<'_>, now: Timestamp) -> Result<Option<Duration>> {
    let mut next: Option<Duration> = None;
    for queue in waiting_queues(tables)? {
        let due = next_due(tables, &queue, now)?;
        next = next.into_iter().chain(due).min();
    }
    Ok(next)
}

/// The queues in which jobs wait. Each is found by one step in the index, over all its jobs.
pub(crate) fn waiting_queues(tables: &Tables<'_>) -> Result<Vec<QueueName>> {
    let mut queues: Vec<QueueName> = Vec::new();
    loop {
        let after = queues.last().map_or("", QueueName::as_str);
        let behind = (after, Micros::MAX, Id::MAX)..;
        let first = tables.waiting.keys(behind, |(queue, _, _)| QueueName::new(queue).stored())?.next();
        let Some(queue) = first else { return Ok(queues) };
        queues.push(queue??);
    }
}
