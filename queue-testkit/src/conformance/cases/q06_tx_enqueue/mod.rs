//! Q6: a job that is enqueued in a transaction of the application, or that follows a job, is
//! visible exactly from the commit on.

mod completions;
mod fast;
mod follow_ups;
mod kills;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] =
    &[fast::CASES, follow_ups::CASES, completions::CASES, kills::CASES, races::CASES];
