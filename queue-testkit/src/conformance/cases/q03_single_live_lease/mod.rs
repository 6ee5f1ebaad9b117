//! Q3: at most one live lease per job; a rescue never takes a job from a live worker.

mod fast;
mod kills;
mod leases;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fast::CASES, kills::CASES, leases::CASES, races::CASES];
