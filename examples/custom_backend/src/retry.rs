//! Retries of finished jobs by hand.

use queue_core::backend::{RetryReply, RetryRequest, retries_from};
use queue_core::{JobId, JobState, Result, Timestamp};

use crate::error::corrupt;
use crate::rows::{Live, job, live, outcome};
use crate::tables::Tables;

/// Makes each finished job ready again, or returns its state.
pub(crate) fn retry(tables: &mut Tables<'_>, request: &RetryRequest) -> Result<Vec<RetryReply>> {
    let now = request.now.unwrap_or_else(Timestamp::now);
    request.jobs.iter().map(|&id| retry_one(tables, now, id)).collect()
}

fn retry_one(tables: &mut Tables<'_>, now: Timestamp, id: JobId) -> Result<RetryReply> {
    if let Some(live) = live(&*tables.live, id)? {
        return Ok(RetryReply::Unfinished(live.state));
    }
    let Some(end) = outcome(&*tables.outcomes, id)? else { return Ok(RetryReply::NotFound) };
    let missing = || corrupt(format!("job {id} has an outcome, but no job"));
    let spec = job(&*tables.jobs, id)?.ok_or_else(missing)?.spec;
    tables.remove_outcome(id, &end)?;
    let max_retries = retries_from(end.attempt, spec.max_retries);
    let new = Live { attempt: end.attempt, max_retries, ..Live::new(&spec, now) }.freed(JobState::Ready, now);
    tables.add_live(id, &new)?;
    tables.hints.add(new.hint(now));
    Ok(RetryReply::Retried)
}
