//! Error handling of the examples, which are in the root folder of this package.

use std::error::Error;
use std::process::ExitCode;

#[cfg(doctest)]
#[doc = include_str!("../../docs/unique-jobs.md")]
mod unique_jobs {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/follow-ups.md")]
mod follow_ups {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/outcomes.md")]
mod outcomes {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/transactions.md")]
mod transactions {}

#[cfg(doctest)]
#[doc = include_str!("../../docs/awaiting-results.md")]
mod awaiting_results {}

/// A result with an error for the user.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Prints the error in one line, because `main` itself would print `Debug`.
#[must_use]
#[expect(clippy::print_stderr, reason = "it speaks to the person at the terminal")]
pub fn exit_code(result: Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
