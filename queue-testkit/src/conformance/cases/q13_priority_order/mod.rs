//! Q13: a claim returns jobs by (priority descending, `run_at`, id).

mod later_claims;
mod head_order;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[later_claims::CASES, head_order::CASES];
