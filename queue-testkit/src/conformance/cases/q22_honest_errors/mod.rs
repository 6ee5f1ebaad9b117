//! Q22: each error has a kind and retry advice; the same handle works after any error.

mod border;
mod dropped;
mod dropped_at_each_poll;
mod dropped_wholly;
mod errors;
mod faults;
mod races;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[
    border::CASES,
    dropped::CASES,
    dropped_at_each_poll::CASES,
    dropped_wholly::CASES,
    errors::CASES,
    faults::CASES,
    races::CASES,
];
