//! Registration, heartbeats and retirement of workers.

use queue_core::backend::{Beat, HeartbeatReply, HeartbeatRequest, RegisterRequest, RetireRequest};
use queue_core::{Error, ErrorKind, Result, Timestamp, WorkerId};
use redb::ReadableTable as _;

use crate::error::Doing as _;
use crate::promote::next_due_anywhere;
use crate::rows::{AsId as _, Lease, Live, WorkerRow, live, worker};
use crate::tables::Tables;

/// Returns the row of a registered worker.
///
/// # Errors
/// [`ErrorKind::WorkerLost`] if the worker is lost or unknown.
pub(crate) fn check(tables: &Tables<'_>, id: WorkerId) -> Result<WorkerRow> {
    let row = worker(&*tables.workers, id)?.filter(|row| !row.is_lost);
    row.ok_or_else(|| {
        let message = format!("worker {id} is lost or not registered");
        Error::new(ErrorKind::WorkerLost, "act for a worker", message)
    })
}

pub(crate) fn register(tables: &mut Tables<'_>, request: &RegisterRequest) -> Result<()> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    let RegisterRequest { worker: id, name, expiry, .. } = request;
    let was_lost = tables.lost.get(id.as_id()).doing("read a worker")?.is_some();
    if was_lost || worker(&*tables.workers, *id)?.is_some() {
        let message = format!("worker {id} was registered before");
        return Err(Error::new(ErrorKind::Conflict, "register a worker", message));
    }
    let expires_at = now.saturating_add(*expiry);
    tables.put_worker(*id, &WorkerRow { name: name.clone(), expires_at, expiry: *expiry, is_lost: false })
}

/// Extends the expiry, stores progress, and returns the worker's cancels and counts.
pub(crate) fn heartbeat(tables: &mut Tables<'_>, request: &HeartbeatRequest) -> Result<HeartbeatReply> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    let row = check(tables, request.worker)?;
    let beat = if row.expires_at <= now { Beat::Late } else { Beat::InTime };
    let expires_at = row.expires_at.max(now.saturating_add(row.expiry));
    tables.put_worker(request.worker, &WorkerRow { expires_at, ..row })?;
    store_progress(tables, request)?;

    let leases = tables.held_by(request.worker, None)?;
    let mut cancels = Vec::new();
    for &id in &leases {
        if tables.indexed(id)?.cancel_wanted {
            cancels.push(id);
        }
    }
    Ok(HeartbeatReply::new(beat, cancels, leases.len() as u64, next_due_anywhere(tables, now)?))
}

/// Stores progress. A report whose token is not live is skipped.
fn store_progress(tables: &mut Tables<'_>, request: &HeartbeatRequest) -> Result<()> {
    for report in &request.progress {
        let Some(old) = live(&*tables.live, report.token.job)? else { continue };
        let Some(lease) = old.lease_of(report.token) else { continue };
        let lease = Lease { progress: Some(report.progress.clone()), ..lease.clone() };
        tables.change_live(report.token.job, &old, &Live { lease: Some(lease), ..old.clone() })?;
    }
    Ok(())
}

/// Removes the worker if it has no leases. Otherwise a rescue must end its leases first.
pub(crate) fn retire(tables: &mut Tables<'_>, request: &RetireRequest) -> Result<()> {
    let is_registered = worker(&*tables.workers, request.worker)?.is_some_and(|row| !row.is_lost);
    if is_registered && tables.held_by(request.worker, None)?.is_empty() {
        tables.workers.remove(request.worker.as_id())?;
    }
    Ok(())
}
