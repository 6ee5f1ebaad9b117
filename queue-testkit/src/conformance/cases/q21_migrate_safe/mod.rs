//! Q21: processes that migrate at once end at one version, and keep all data.

mod kills;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[kills::CASES, races::CASES];
