//! An insert, and the claim of an idle worker, in one transaction.

use std::time::Instant;

use queue_core::backend::{ClaimReply, ClaimRequest};
use queue_core::{Result, Timestamp};

use crate::claim::{Asked, OPERATION, reply};
use crate::columns::Columns;
use crate::core::Core;
use crate::error::{Effect, Outcome, corrupt};
use crate::row;

/// When the jobs were inserted, and what the claim is answered.
pub(crate) struct InsertedAndClaimed {
    pub(crate) at: Timestamp,
    pub(crate) reply: Result<ClaimReply>,
}

/// Inserts jobs and makes the claim; `None` if the server refused one of both, or a lock was not
/// free at once.
pub(crate) async fn insert_and_claim(
    core: &Core,
    columns: &Columns<'_>,
    claim: &ClaimRequest,
) -> Outcome<Option<InsertedAndClaimed>> {
    let start = core.positions.next_with_insert(claim, Instant::now());
    let asked = Asked::of(core, claim, &start);
    let parameters =
        [columns.parameters().as_slice(), &asked.parameters()[1..], &[&core.parked_lock_timeout]].concat();
    let rows = match core.connections.query(&core.statements.insert_and_claim, &parameters).await {
        Ok(rows) => rows,
        // Nobody answered: there is no better luck without the claim.
        Err(fault) if fault.leaves_open() || fault.code().is_none() => return Err(fault),
        Err(_) => return Ok(None),
    };
    // The last row is that of the queue.
    let at = row::time(rows.last().ok_or_else(|| corrupt("a claim was answered nothing"))?, 2)?;
    let reply =
        reply(core, claim, &start, &rows).map_err(|fault| fault.into_error(OPERATION, Effect::Writes));
    Ok(Some(InsertedAndClaimed { at, reply }))
}
