//! Rescues of leases of dead workers, and of leases past their deadline.

use queue_core::backend::{DEADLINE_PASSED_ERROR, MaintainReply, MaintainRequest, WORKER_LOST_ERROR};
use queue_core::{JobId, JobState, Result, Timestamp, WorkerId};
use redb::ReadableTable as _;

use crate::error::Doing as _;
use crate::layout::{Id, Micros};
use crate::rows::{AsId as _, Outcome, WorkerRow, job_id, worker, worker_id};
use crate::tables::Tables;

/// Rescues up to `request.rescue` leases.
pub(crate) fn rescue(
    tables: &mut Tables<'_>,
    request: &MaintainRequest,
    now: Timestamp,
    reply: &mut MaintainReply,
) -> Result<()> {
    if let Some(id) = request.worker
        && worker(&*tables.workers, id)?.is_none_or(|row| row.is_lost || row.expires_at <= now)
    {
        // Because the other workers may be late for the same reason, such as a clock jump.
        return Ok(());
    }
    let mut left = request.rescue as usize;
    for id in dead_workers(tables, now, reply)? {
        let leases = tables.held_by(id, None)?;
        for &job in leases.iter().take(left) {
            rescue_one(tables, now, job, WORKER_LOST_ERROR, reply)?;
        }
        if leases.len() <= left {
            tables.workers.remove(id.as_id())?;
            tables.lost.put(id.as_id(), ())?;
        }
        left = left.saturating_sub(leases.len());
    }
    for job in past_deadline(tables, now, left)? {
        rescue_one(tables, now, job, DEADLINE_PASSED_ERROR, reply)?;
    }
    Ok(())
}

/// Returns the lost workers with leases, and marks expired workers lost. The table needs no index,
/// because it has one row per worker.
fn dead_workers(tables: &mut Tables<'_>, now: Timestamp, reply: &mut MaintainReply) -> Result<Vec<WorkerId>> {
    let mut dead = Vec::new();
    for row in tables.workers.iter().doing("look for dead workers")? {
        let (id, row) = row.doing("look for dead workers")?;
        let row = WorkerRow::read(row.value())?;
        if row.is_lost || row.expires_at <= now {
            dead.push((worker_id(id.value()), row));
        }
    }
    for (id, row) in &mut dead {
        if !row.is_lost {
            row.is_lost = true;
            tables.put_worker(*id, row)?;
            reply.workers_lost += 1;
        }
    }
    Ok(dead.into_iter().map(|(id, _)| id).collect())
}

fn past_deadline(tables: &Tables<'_>, now: Timestamp, limit: usize) -> Result<Vec<JobId>> {
    let range = (Micros::MIN, Id::MIN)..=(now.as_micros(), Id::MAX);
    tables.deadlines.keys(range, |(_, id)| job_id(id))?.take(limit).collect()
}

/// Ends a lease without its worker. The attempt stays charged, because otherwise a job that kills
/// its process would never end.
fn rescue_one(
    tables: &mut Tables<'_>,
    now: Timestamp,
    id: JobId,
    why: &str,
    reply: &mut MaintainReply,
) -> Result<()> {
    let old = tables.indexed(id)?;
    tables.add_error(id, &old, now, why, None)?;
    if old.has_used_all_attempts() {
        reply.died += 1;
        // Without the claim, so that a later settle of the worker returns `LeaseLost`.
        let end = Outcome { error: Some(why.to_owned()), ..Outcome::of(&old, JobState::Dead, now) };
        return tables.finish(id, &old, &end);
    }
    reply.rescued += 1;
    let new = old.freed(JobState::Ready, old.run_at);
    tables.change_live(id, &old, &new)?;
    tables.hints.add(new.hint(now));
    Ok(())
}
