//! Removal of old finished jobs.

use queue_core::backend::Prune;
use queue_core::{JobId, JobState, Result, Timestamp};

use crate::error::corrupt;
use crate::layout::{Id, Micros};
use crate::rows::{job_id, outcome};
use crate::tables::Tables;

/// Removes up to `prune.limit` jobs. Returns their number.
pub(crate) fn prune(tables: &mut Tables<'_>, now: Timestamp, prune: &Prune) -> Result<u64> {
    let mut left = prune.limit as usize;
    for &state in JobState::ALL {
        for id in old(tables, now, prune, state, left)? {
            let missing = || corrupt(format!("an index names job {id}, which has no outcome"));
            let end = outcome(&*tables.outcomes, id)?.ok_or_else(missing)?;
            tables.remove_finished(id, &end)?;
            left -= 1;
        }
    }
    Ok((prune.limit as usize - left) as u64)
}

/// Returns the oldest jobs in this state whose retention and idempotency window are over.
fn old(
    tables: &Tables<'_>,
    now: Timestamp,
    prune: &Prune,
    state: JobState,
    limit: usize,
) -> Result<Vec<JobId>> {
    let Some(retention) = prune.retention(state) else { return Ok(Vec::new()) };
    let oldest_kept = now.saturating_sub(retention).as_micros();
    let protected_from = JobId::least_at(now.saturating_sub(prune.idempotency_window));
    let word = state.as_str();
    let range = (word, Micros::MIN, Id::MIN)..(word, oldest_kept, Id::MIN);
    let ids = tables.finished.keys(range, |(_, _, id)| job_id(id))?;
    // Because an explicit id can be younger than the end of its job, and must prevent a second
    // insert.
    ids.filter(|id| !matches!(id, Ok(id) if *id >= protected_from)).take(limit).collect()
}
