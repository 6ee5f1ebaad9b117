//! Q6: a job that is enqueued in a transaction of the application is visible exactly from its
//! commit on.

mod fast;
mod kills;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, kills::CASES, races::CASES];
