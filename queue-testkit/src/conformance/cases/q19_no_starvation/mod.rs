//! Q19: each ready job is claimed eventually.

mod fast;
mod faults;
mod programs;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, faults::CASES, programs::CASES];
