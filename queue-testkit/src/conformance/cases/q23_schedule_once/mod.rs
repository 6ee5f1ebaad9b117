//! Q23: each slot of a schedule fires once.

mod changes;
mod dropped;
mod due;
mod faults;
mod jobs;
mod kills;
mod races;
mod reads;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[
    changes::CASES,
    dropped::CASES,
    due::CASES,
    faults::CASES,
    jobs::CASES,
    kills::CASES,
    races::CASES,
    reads::CASES,
];
