//! Cancels of jobs.

use queue_core::backend::{CancelReply, CancelRequest, IfRunning};
use queue_core::{JobId, JobState, Result, Timestamp};

use crate::rows::{Live, Outcome, live, outcome};
use crate::tables::Tables;

/// Cancels each job, or returns its state.
pub(crate) fn cancel(tables: &mut Tables<'_>, request: &CancelRequest) -> Result<Vec<CancelReply>> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    request.jobs.iter().map(|&id| cancel_one(tables, now, id, request.if_running)).collect()
}

fn cancel_one(
    tables: &mut Tables<'_>,
    now: Timestamp,
    id: JobId,
    if_running: IfRunning,
) -> Result<CancelReply> {
    let Some(live) = live(&*tables.live, id)? else {
        let ended = outcome(&*tables.outcomes, id)?;
        return Ok(ended.map_or(CancelReply::NotFound, |end| CancelReply::Finished(end.state)));
    };
    if live.lease.is_some() {
        if if_running == IfRunning::Signal {
            tables.change_live(id, &live, &Live { cancel_wanted: true, ..live.clone() })?;
            tables.hints.add_cancel(id);
        }
        return Ok(CancelReply::Running);
    }
    let error = Some("cancelled before it started".to_owned());
    tables.finish(id, &live, &Outcome { error, ..Outcome::of(&live, JobState::Cancelled, now) })?;
    Ok(CancelReply::Cancelled)
}
