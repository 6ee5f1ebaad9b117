//! Makes an insert and the claim of an idle worker in one transaction.

use std::time::Instant;

use queue_core::backend::{ClaimReply, ClaimRequest, WakeHints};
use queue_core::{Result, Timestamp};

use crate::claim::{ClaimParameters, OPERATION, reply};
use crate::columns::Columns;
use crate::core::Core;
use crate::error::{Effect, Outcome, corrupt};
use crate::row;

/// The time of the insert and the reply to the claim.
pub(crate) struct InsertedAndClaimed {
    pub(crate) at: Timestamp,
    pub(crate) reply: Result<ClaimReply>,
}

/// Inserts jobs and makes the claim. `hints` are those of the insert. Returns `None` if the server
/// refused either, or if a lock was not free in time.
pub(crate) async fn insert_and_claim(
    core: &Core,
    columns: &Columns<'_>,
    hints: &WakeHints,
    claim: &ClaimRequest,
) -> Outcome<Option<InsertedAndClaimed>> {
    let mut start = core.positions.next_with_insert(claim, Instant::now());
    // A job whose time has passed may precede those that were claimed last.
    start.rewind(&claim.queue, hints);
    let claim_parameters = ClaimParameters::of(core, claim, &start);
    let parameters =
        [columns.parameters().as_slice(), &claim_parameters.parameters()[1..], &[&core.parked_lock_timeout]]
            .concat();
    let rows = match core.query(&core.statements.insert_and_claim, &parameters).await {
        Ok(rows) => rows,
        // Without an answer, a retry without the claim would fail too.
        Err(fault) => {
            core.positions.failed(&claim.queue, Instant::now());
            let is_answered = !fault.leaves_outcome_unknown() && fault.code().is_some();
            return if is_answered { Ok(None) } else { Err(fault) };
        }
    };
    // The last row describes the queue.
    let at = row::time(rows.last().ok_or_else(|| corrupt("a claim returned no rows"))?, 2)?;
    let reply =
        reply(core, claim, &start, &rows).map_err(|fault| fault.into_error(OPERATION, Effect::Writes));
    Ok(Some(InsertedAndClaimed { at, reply }))
}
