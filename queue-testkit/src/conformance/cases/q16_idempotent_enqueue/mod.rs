//! Q16: enqueueing again with the same `JobId` makes one job.

mod border;
mod kills;
mod races;
mod repeated_inserts;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[border::CASES, kills::CASES, races::CASES, repeated_inserts::CASES];
