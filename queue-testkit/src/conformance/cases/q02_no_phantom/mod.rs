//! Q2: nothing runs that was not enqueued; a rolled-back enqueue never appears.

mod fast;
mod kills;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, kills::CASES, races::CASES];
