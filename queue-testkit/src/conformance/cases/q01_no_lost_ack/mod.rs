//! Q1: an acknowledged job is never lost and ends in a final state.

mod fast;
mod faults;
mod kills;
mod programs;
mod races;
mod soak;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] =
    &[fast::CASES, faults::CASES, kills::CASES, programs::CASES, races::CASES, soak::CASES];
