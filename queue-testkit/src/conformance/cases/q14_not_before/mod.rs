//! Q14: no job starts before its `run_at`.

mod fast;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES];
