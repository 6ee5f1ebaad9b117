//! Q14: no job starts before its `run_at`.

mod due_times;
mod fast;
mod storage_clock;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[due_times::CASES, fast::CASES, storage_clock::CASES];
