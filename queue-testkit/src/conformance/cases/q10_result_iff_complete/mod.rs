//! Q10: a result exists exactly when the job is completed.

mod fast;
mod faults;
mod kills;
mod races;
mod transactions;
mod waits;
mod watches;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[
    fast::CASES,
    faults::CASES,
    kills::CASES,
    races::CASES,
    transactions::CASES,
    watches::CASES,
    waits::CASES,
];
