//! Q15: concurrent enqueues with one unique key make one job.

mod border;
mod fast;
mod kept_keys;
mod races;
mod releases;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] =
    &[border::CASES, fast::CASES, kept_keys::CASES, races::CASES, releases::CASES];
