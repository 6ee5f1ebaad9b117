//! Q17: pausing one queue never touches another, and a paused queue returns no job.

mod fast;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, races::CASES];
