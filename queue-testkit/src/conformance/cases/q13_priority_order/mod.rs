//! Q13: a claim returns jobs by (priority descending, `run_at`, id).

mod head_order;
mod later_claims;
mod races;
mod wake_ups;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[head_order::CASES, later_claims::CASES, races::CASES, wake_ups::CASES];
