//! An insert, and a claim that waited for it, in one transaction.

use std::collections::HashSet;

use queue_core::backend::{ClaimReply, ClaimRequest, InsertRequest, TakenClaim};
use queue_core::{JobId, Result, Submitted};

use crate::error::Outcome;
use crate::insert::{enter, hints, inserted};
use crate::writer::Writer;
use crate::writer::command::{Effects, Request};
use crate::writer::session::{Session, time};

/// Enters jobs and makes the claim. Fails as the insert does; a claim that is refused leaves the jobs entered.
pub(crate) async fn insert_and_claim(
    writer: &Writer,
    insert: InsertRequest,
    parked: TakenClaim,
) -> Result<Vec<Result<Vec<Submitted>>>> {
    let claim = parked.request().clone();
    // The worker is answered though whoever enqueues may have gone.
    let tell = move |answer: Result<<InsertAndClaim as Request>::Reply>| match answer {
        Ok((fates, reply)) => {
            parked.answer(reply);
            Ok(fates)
        }
        Err(error) => {
            parked.insert_failed(&error);
            Err(error)
        }
    };
    writer.call_and(InsertAndClaim { insert, claim }, tell).await
}

struct InsertAndClaim {
    insert: InsertRequest,
    claim: ClaimRequest,
}

impl Request for InsertAndClaim {
    type Reply = (Vec<Result<Vec<Submitted>>>, Result<ClaimReply>);

    const OPERATION: &'static str = InsertRequest::OPERATION;

    fn rows(&self) -> usize {
        self.insert.rows().saturating_add(self.claim.rows())
    }

    fn apply(&self, session: &mut Session, effects: &mut Effects) -> Outcome<Self::Reply> {
        let Self { insert: InsertRequest { batches, now, .. }, claim } = self;
        let now = time(*now);
        let fates = enter(session, batches, now)?;
        // The jobs are entered whatever becomes of the claim.
        let claim = claim.clone().at(now);
        let reply = session.scoped(|session| claim.apply(session, effects))?;
        let reply = reply.map_err(|fault| session.error(fault, ClaimRequest::OPERATION));
        let taken: HashSet<JobId> =
            reply.iter().flat_map(|reply| &reply.jobs).map(|job| job.token.job).collect();
        let left = inserted(batches, &fates).filter(|job| !taken.contains(&job.id));
        effects.ready.append(&mut hints(left, now));
        Ok((fates, reply))
    }
}
