//! Cancels jobs.

use queue_core::backend::{CancelReply, CancelRequest, IfRunning, WakeHints};
use queue_core::{JobState, Result};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Fault, Outcome, corrupt};
use crate::row;
use crate::types::{Id, Time};

/// Cancels jobs and notifies the workers of running ones.
pub(crate) async fn cancel(core: &Core, request: &CancelRequest) -> Result<Vec<CancelReply>> {
    if request.jobs.is_empty() {
        return Ok(Vec::new());
    }
    try_cancel(core, request).await.map_err(|fault| fault.into_error("cancel jobs", Effect::Writes))
}

async fn try_cancel(core: &Core, request: &CancelRequest) -> Outcome<Vec<CancelReply>> {
    let signals = request.if_running == IfRunning::Signal;
    let jobs: Vec<Id> = request.jobs.iter().map(|job| (*job).into()).collect();
    let rows = core.query(&core.statements.cancel, &[&request.now.map(Time), &jobs, &signals]).await?;
    if rows.len() != jobs.len() {
        return Err(corrupt(format!("{} replies for {} jobs", rows.len(), jobs.len())));
    }
    let replies: Vec<CancelReply> = rows.iter().map(reply).collect::<Outcome<_>>()?;
    core.waker.wake(hints(request, &rows, &replies)?);
    Ok(replies)
}

/// The running jobs whose cancel is requested, and the watched jobs that have ended.
fn hints(request: &CancelRequest, rows: &[Row], replies: &[CancelReply]) -> Outcome<WakeHints> {
    let mut hints = WakeHints::new();
    for ((job, row), reply) in request.jobs.iter().zip(rows).zip(replies) {
        if *reply == CancelReply::Running && request.if_running == IfRunning::Signal {
            hints.add_cancel(*job);
        }
        if row::get(row, 2)? {
            hints.add_finished(*job);
        }
    }
    Ok(hints)
}

fn reply(row: &Row) -> Result<CancelReply, Fault> {
    if row::get(row, 0)? {
        return Ok(CancelReply::Cancelled);
    }
    let state: Option<&str> = row::get(row, 1)?;
    Ok(match state.map(row::state_of).transpose()? {
        None => CancelReply::NotFound,
        Some(JobState::Running) => CancelReply::Running,
        Some(state) => CancelReply::Finished(state),
    })
}
