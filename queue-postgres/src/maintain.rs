//! Maintenance, bounded per call.

use std::sync::MutexGuard;

use queue_core::backend::{Hint, MaintainReply, MaintainRequest, Prune, WakeHints, ignore_poison};
use queue_core::{JobId, Result, WorkerId};
use tokio_postgres::Row;

use crate::core::Core;
use crate::damaged::Refused;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::prune::{SweepPosition, max_reads};
use crate::row;
use crate::types::{Id, Interval, Time};

/// Does all parts of maintenance in one transaction.
pub(crate) async fn maintain(core: &Core, request: &MaintainRequest) -> Result<MaintainReply> {
    let done = async {
        let rows = query(core, request).await?;
        read(core, &rows, request.prune.is_some())
    };
    let (reply, hints) =
        done.await.map_err(|fault: Fault| fault.into_error("maintain the queue", Effect::Writes))?;
    core.waker.wake(hints);
    Ok(reply)
}

async fn query(core: &Core, request: &MaintainRequest) -> Outcome<Vec<Row>> {
    let to_i32 = |limit: u32| i32::try_from(limit).unwrap_or(i32::MAX);
    let unused = Prune::default().limit(0);
    let prune = request.prune.as_ref().unwrap_or(&unused);
    let after = sweep_position(core).0;
    core.query(
        &core.statements.maintain,
        &[
            &request.now.map(Time),
            &request.worker.map(Id::from),
            &to_i32(request.promote),
            &to_i32(request.rescue),
            &to_i32(prune.limit),
            &max_reads(prune.limit),
            &after,
            &Interval(prune.completed),
            &Interval(prune.cancelled),
            &Interval(prune.dead),
            &Interval(prune.idempotency_window),
            &core.refused.skipped(),
        ],
    )
    .await
}

/// Returns the reply, and what to announce.
fn read(core: &Core, rows: &[Row], has_pruned: bool) -> Outcome<(MaintainReply, WakeHints)> {
    let Some((last, levels)) = rows.split_last() else {
        return Err(corrupt("maintenance returned no rows"));
    };
    if has_pruned {
        *sweep_position(core) = row::get::<Option<Id>>(last, 8)?.map(SweepPosition).unwrap_or_default();
    }
    let mut reply = MaintainReply::default();
    reply.promoted = row::count(last, 3)?;
    reply.workers_lost = row::count(last, 4)?;
    reply.rescued = row::count(last, 5)?;
    reply.died = row::count(last, 6)?;
    reply.pruned = row::count(last, 7)?;
    let (due_at, now) = (row::time_if_any(last, 9)?, row::time(last, 10)?);
    reply.next_due = due_at.map(|due_at| now.until(due_at));
    let mut hints = WakeHints::new();
    for level in levels {
        if let Some(finished) = row::get::<Option<Id>>(level, 14)? {
            hints.add_finished(JobId::from_bytes(finished.0));
            continue;
        }
        if let Some(id) = row::get::<Option<Id>>(level, 11)? {
            let refused = match row::get(level, 12)? {
                true => Refused::Worker(WorkerId::from_bytes(id.0)),
                false => Refused::Job(JobId::from_bytes(id.0)),
            };
            core.refused.note(refused, row::get(level, 13)?);
            continue;
        }
        reply.ready.push(Hint::new(row::queue(level, 0)?, row::get(level, 1)?, row::time(level, 2)?));
    }
    hints.extend(reply.ready.iter().cloned());
    Ok((reply, hints))
}

fn sweep_position(core: &Core) -> MutexGuard<'_, SweepPosition> {
    ignore_poison(core.sweep_position.lock())
}
