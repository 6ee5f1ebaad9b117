//! Q16: enqueueing again with the same `JobId` makes one job.

mod border;
mod repeated_inserts;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[border::CASES, repeated_inserts::CASES];
