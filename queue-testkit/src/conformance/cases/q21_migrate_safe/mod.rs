//! Q21: processes that migrate at once end at one version, and keep all data.

mod fast;
mod kills;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, kills::CASES, races::CASES];
