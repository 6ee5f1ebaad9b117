//! Q9: a cancel says what it beat.

mod fast;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, races::CASES];
