//! Expressions and zones that do not exist.

use std::error::Error;
use std::fmt;
use std::ops::Range;

/// A cron expression or a time zone that is not valid. The text names the part that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    message: String,
    place: Range<usize>,
}

impl Invalid {
    pub(crate) const fn new(message: String, place: Range<usize>) -> Self {
        Self { message, place }
    }

    /// Returns the bytes of the text that are wrong.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Invalid {}
