//! The examples are in this package's root folder, one program an idea. This is what they share: how
//! they end when something fails.

use std::error::Error;
use std::process::ExitCode;

/// A result whose error is for people to read.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Says in one line what failed, as `main` itself would only with `Debug`.
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
