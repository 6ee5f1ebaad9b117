//! Q20: payloads, results, times and texts return unchanged.

mod fields;
mod payloads;
mod programs;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[fields::CASES, payloads::CASES, programs::CASES];
