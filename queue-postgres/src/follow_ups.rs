//! The follow-ups of completed jobs, as parameters of their settlement.

use queue_core::backend::{Completion, Settlement, Verdict};
use queue_core::{JobSpec, Timestamp};

use crate::columns::{Columns, bytes};
use crate::error::Outcome;
use crate::insert::check_size;

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
    pub(crate) fn of(now: Option<Timestamp>, settlements: &[&'a Settlement]) -> Outcome<Option<Self>> {
        let jobs = || settlements.iter().copied().flat_map(of);
        if jobs().next().is_none() {
            return Ok(None);
        }
        check_size(jobs())?;
        let parents = (1..).zip(settlements).flat_map(|(place, one)| of(one).iter().map(move |_| place));
        Ok(Some(Self { parents: parents.collect(), columns: Columns::of(now, jobs()) }))
    }
}
