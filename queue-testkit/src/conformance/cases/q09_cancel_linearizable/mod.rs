//! Q9: the reply to a cancel names the state that the cancel met.

mod fast;
mod races;
mod signals;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, races::CASES, signals::CASES];
