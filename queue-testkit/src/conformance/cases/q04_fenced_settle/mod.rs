//! Q4: a settle with a stale token changes nothing and returns `LeaseLost`.

mod failures;
mod races;
mod repeated_settles;
mod stale_tokens;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] =
    &[failures::CASES, races::CASES, repeated_settles::CASES, stale_tokens::CASES];
