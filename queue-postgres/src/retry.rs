//! Retries of finished jobs by hand.

use queue_core::backend::{Hint, RetryReply, RetryRequest, WakeHints};
use queue_core::{JobId, Result};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Outcome, corrupt};
use crate::row;
use crate::types::{Id, Time};

/// Makes finished jobs ready again and announces them.
pub(crate) async fn retry(core: &Core, request: &RetryRequest) -> Result<Vec<RetryReply>> {
    if request.jobs.is_empty() {
        return Ok(Vec::new());
    }
    try_retry(core, request).await.map_err(|fault| fault.into_error("retry jobs", Effect::Writes))
}

async fn try_retry(core: &Core, request: &RetryRequest) -> Outcome<Vec<RetryReply>> {
    let jobs: Vec<Id> = request.jobs.iter().map(|job| (*job).into()).collect();
    let rows = core.query(&core.statements.retry, &[&request.now.map(Time), &jobs]).await?;
    if rows.len() != jobs.len() {
        return Err(corrupt(format!("{} replies for {} jobs", rows.len(), jobs.len())));
    }
    let mut hints = WakeHints::new();
    let replies = rows.iter().map(|row| reply(row, &mut hints)).collect::<Outcome<_>>()?;
    core.waker.wake(hints);
    Ok(replies)
}

fn reply(row: &Row, hints: &mut WakeHints) -> Outcome<RetryReply> {
    if row::get(row, 0)? {
        hints.add(Hint::new(row::queue(row, 3)?, row::get(row, 4)?, row::time(row, 5)?));
        return Ok(RetryReply::Retried);
    }
    if let Some(holder) = row::get::<Option<Id>>(row, 2)? {
        return Ok(RetryReply::KeyHeld(JobId::from_bytes(holder.0)));
    }
    let state: Option<&str> = row::get(row, 1)?;
    Ok(match state.map(row::state_of).transpose()? {
        None => RetryReply::NotFound,
        Some(state) => RetryReply::Unfinished(state),
    })
}
