//! Q11: the job of a dead worker is claimable after the worker's expiry, never before.

mod expiry;
mod kills;
mod races;
mod rescue;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[expiry::CASES, kills::CASES, races::CASES, rescue::CASES];
