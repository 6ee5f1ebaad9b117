//! An insert, and a claim that waited for it, in one transaction.

use std::collections::HashSet;

use queue_core::backend::TakenClaim;
use queue_core::{Error, ErrorKind, JobId, Timestamp};

use crate::claim::{Asked, OPERATION, reply};
use crate::columns::Columns;
use crate::core::Core;
use crate::error::{Effect, Outcome, corrupt};
use crate::row;

/// What such a transaction did.
pub(crate) struct Entered {
    pub(crate) at: Timestamp,
    /// Nobody needs to be told of these.
    pub(crate) taken: HashSet<JobId>,
}

/// Enters jobs and makes the claim. `None` if the server refused, be it for the jobs or for the claim: the jobs are to be
/// entered without it.
pub(crate) async fn insert_and_claim(
    core: &Core,
    columns: &Columns<'_>,
    parked: TakenClaim,
) -> Outcome<Option<Entered>> {
    let request = parked.request().clone();
    let asked = Asked::of(core, &request);
    let parameters =
        [columns.parameters().as_slice(), &asked.parameters()[1..], &[&core.parked_lock_timeout]].concat();
    let rows = match core.connections.query(&core.statements.insert_and_claim, &parameters).await {
        Ok(rows) => rows,
        Err(fault) if fault.leaves_open() => {
            let message = "the answer to the insert that it was made with is missing";
            parked.answer(Err(Error::new(ErrorKind::UnknownOutcome, OPERATION, message)));
            return Err(fault);
        }
        Err(fault) if fault.is_worker_lost() => {
            parked.answer(Err(fault.into_error(OPERATION, Effect::Writes)));
            return Ok(None);
        }
        Err(fault) => {
            parked.decline();
            // Nobody answered: there is no better luck without the claim.
            return if fault.code().is_some() { Ok(None) } else { Err(fault) };
        }
    };
    // The last row is that of the queue.
    let at = row::time(rows.last().ok_or_else(|| corrupt("a claim was answered nothing"))?, 2)?;
    let reply = reply(core, &request, &rows);
    let taken = reply.iter().flat_map(|reply| &reply.jobs).map(|job| job.token.job).collect();
    parked.answer(reply.map_err(|fault| fault.into_error(OPERATION, Effect::Writes)));
    Ok(Some(Entered { at, taken }))
}
