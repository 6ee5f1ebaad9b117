//! Q7: at most 1 + `max_retries` attempts are charged, and no job ends dead that never started.

mod charges;
mod kills;
mod last_attempts;

use crate::conformance::case::Case;

/// The cases of each file.
pub(super) const FILES: &[&[Case]] = &[charges::CASES, kills::CASES, last_attempts::CASES];
