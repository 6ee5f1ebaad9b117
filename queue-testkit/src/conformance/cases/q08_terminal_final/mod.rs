//! Q8: completed, dead and cancelled jobs change only by an explicit retry.

mod finished_jobs;
mod kept_jobs;
mod prune;
mod races;
mod retries;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] =
    &[finished_jobs::CASES, kept_jobs::CASES, prune::CASES, races::CASES, retries::CASES];
