//! Q20: payloads, results, times and texts return unchanged.

mod fields;
mod lists;
mod payloads;
mod programs;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fields::CASES, lists::CASES, payloads::CASES, programs::CASES];
