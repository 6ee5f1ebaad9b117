//! The follow-ups of completed jobs, as parameters of their settlement.

use std::slice;

use queue_core::backend::{Completion, Settled, Settlement, Verdict};
use queue_core::{Error, ErrorKind, Insertion, JobSpec, Timestamp};

use crate::columns::{Columns, bytes};
use crate::core::Core;
use crate::error::Outcome;
use crate::insert::insertions;
use crate::settle::{OPERATION, settle_together};

/// Maximum number of attempts for follow-ups whose ids existed and then did not.
const MAX_ATTEMPTS: u32 = 5;

pub(crate) fn of(settlement: &Settlement) -> &[JobSpec] {
    match &settlement.verdict {
        Verdict::Complete(Completion { follow_ups, .. }) => follow_ups,
        _ => &[],
    }
}

/// The size of the follow-ups in bytes.
pub(crate) fn size(settlement: &Settlement) -> usize {
    of(settlement).iter().map(bytes).sum()
}

/// The follow-ups by column, each with the place of its job among the settlements.
pub(crate) struct FollowUps<'a> {
    pub(crate) parents: Vec<i64>,
    pub(crate) columns: Columns<'a>,
}

impl<'a> FollowUps<'a> {
    /// `None` if there are none.
    pub(crate) fn of(now: Option<Timestamp>, settlements: &[&'a Settlement]) -> Option<Self> {
        let jobs = || settlements.iter().copied().flat_map(of);
        jobs().next()?;
        let parents = (1..).zip(settlements).flat_map(|(place, one)| of(one).iter().map(move |_| place));
        Some(Self { parents: parents.collect(), columns: Columns::of(now, jobs()) })
    }
}

/// Completes a job of whose follow-ups at least one is stored already. The batch must be stored whole
/// and with the same content, as in an insert.
pub(crate) async fn settle_known(
    core: &Core,
    now: Option<Timestamp>,
    settlement: &Settlement,
) -> Outcome<Settled> {
    for _ in 0..MAX_ATTEMPTS {
        let batch = of(settlement);
        let insertions = insertions(core, batch).await?;
        let new = batch.iter().zip(insertions).filter(|(_, insertion)| *insertion == Insertion::New);
        let mut settlement = settlement.clone();
        if let Verdict::Complete(completion) = &mut settlement.verdict {
            completion.follow_ups = new.map(|(job, _)| job.clone()).collect();
        }
        match settle_together(core, now, slice::from_ref(&&settlement)).await {
            Ok(settled) => return Ok(settled.first().copied().unwrap_or(Settled::LeaseLost)),
            Err(fault) if fault.is_known() => {}
            Err(fault) => return Err(fault),
        }
    }
    let message = "jobs with the same ids are inserted and removed repeatedly";
    Err(Error::new(ErrorKind::Busy, OPERATION, message).into())
}
