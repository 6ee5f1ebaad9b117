//! Q19: every ready job is claimed in the end.

mod fast;
mod faults;
mod programs;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, faults::CASES, programs::CASES];
