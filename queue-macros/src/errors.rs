//! A collection of errors, so that the compiler reports all of them at once.

use syn::{Error, Result};

/// The errors found so far, in one.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// Adds an error.
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Returns `last` if no error was added, otherwise an error that holds all errors.
    pub(crate) fn finish<T>(self, last: Result<T>) -> Result<T> {
        match (self.0, last) {
            (None, last) => last,
            (Some(all), Ok(_)) => Err(all),
            (Some(mut all), Err(error)) => {
                all.combine(error);
                Err(all)
            }
        }
    }
}
