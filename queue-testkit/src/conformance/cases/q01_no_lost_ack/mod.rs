//! Q1: an acknowledged enqueue ends terminal and never vanishes.

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
