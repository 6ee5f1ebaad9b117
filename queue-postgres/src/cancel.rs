//! Cancels jobs.

use queue_core::backend::{CancelReply, CancelRequest, IfRunning};
use queue_core::{JobId, JobState, Result};
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
    if signals {
        let is_running = |(_, reply): &(&JobId, &CancelReply)| **reply == CancelReply::Running;
        let running = request.jobs.iter().zip(&replies).filter(is_running).map(|(job, _)| *job);
        core.waker.cancels(running);
    }
    Ok(replies)
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
