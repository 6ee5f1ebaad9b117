//! Q5: a batch is stored whole or not at all.

mod fast;
mod faults;
mod kills;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, faults::CASES, kills::CASES, races::CASES];
