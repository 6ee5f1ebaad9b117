//! A collection of errors, so that the compiler reports all of them at once.

use syn::Error;

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

    /// All errors in one; `None` if there is none.
    pub(crate) fn into_one(self) -> Option<Error> {
        self.0
    }
}
