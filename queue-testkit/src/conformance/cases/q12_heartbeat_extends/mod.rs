//! Q12: a worker with heartbeats keeps its jobs; its expiry only moves forward.

mod expiries;
mod heartbeats;
mod late_rescuer;
mod races;
mod remembered;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] =
    &[expiries::CASES, heartbeats::CASES, late_rescuer::CASES, races::CASES, remembered::CASES];
