//! Q15: concurrent enqueues with one unique key make one job.

mod border;
mod fast;
mod races;
mod releases;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[border::CASES, fast::CASES, races::CASES, releases::CASES];
