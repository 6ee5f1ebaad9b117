//! Q14: no job starts before its `run_at`.

mod due_times;
mod fast;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[due_times::CASES, fast::CASES];
