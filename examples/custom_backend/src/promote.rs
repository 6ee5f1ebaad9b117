//! Promotion of due jobs.

use std::time::Duration;

use queue_core::{JobId, JobState, QueueName, Result, Timestamp};

use crate::error::Stored as _;
use crate::layout::{Id, Micros};
use crate::rows::{job_id, time};
use crate::tables::Tables;

/// Promotes up to `limit` due jobs of a queue, the longest overdue first. Returns their number.
pub(crate) fn promote(
    tables: &mut Tables<'_>,
    queue: &QueueName,
    now: Timestamp,
    limit: usize,
) -> Result<usize> {
    let due = due(tables, queue, now, limit)?;
    for &id in &due {
        let old = tables.indexed(id)?;
        let new = old.freed(JobState::Ready, old.run_at);
        tables.change_live(id, &old, &new)?;
        tables.hints.add(new.hint(now));
    }
    Ok(due.len())
}

/// Returns the first due jobs of the queue. They are collected, because a table cannot change while
/// it is iterated.
fn due(tables: &Tables<'_>, queue: &QueueName, now: Timestamp, limit: usize) -> Result<Vec<JobId>> {
    let name = queue.as_str();
    let range = (name, Micros::MIN, Id::MIN)..=(name, now.as_micros(), Id::MAX);
    tables.waiting.keys(range, |(_, _, id)| job_id(id))?.take(limit).collect()
}

/// Returns the time until the first waiting job of the queue is due; zero if it is overdue.
pub(crate) fn next_due(tables: &Tables<'_>, queue: &QueueName, now: Timestamp) -> Result<Option<Duration>> {
    let name = queue.as_str();
    let range = (name, Micros::MIN, Id::MIN)..=(name, Micros::MAX, Id::MAX);
    let first = tables.waiting.keys(range, |(_, run_at, _)| run_at)?.next().transpose()?;
    first.map(|run_at| time(run_at).map(|run_at| now.until(run_at))).transpose()
}

/// Returns the time until the first waiting job of all queues is due.
pub(crate) fn next_due_anywhere(tables: &Tables<'_>, now: Timestamp) -> Result<Option<Duration>> {
    let mut next: Option<Duration> = None;
    for queue in waiting_queues(tables)? {
        let due = next_due(tables, &queue, now)?;
        next = next.into_iter().chain(due).min();
    }
    Ok(next)
}

/// Returns the queues with waiting jobs. Each costs one index lookup, which skips all jobs of the
/// queue before.
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
