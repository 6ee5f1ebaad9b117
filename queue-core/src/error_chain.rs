//! The text of an error and its sources.

use std::error::Error;
use std::iter::successors;

/// Returns the sources of an error, the nearest first.
pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(error.source(), |&source| source.source())
}

/// Returns the text of an error and of its sources, separated by colons.
///
/// A source is skipped if the text before it already ends with it, because many errors repeat their
/// source.
///
/// ```
/// use queue_core::backend::error_chain;
/// use queue_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "open the file", "the disk failed");
/// let error = error.with_source(std::io::Error::other("no space left"));
/// assert_eq!(error_chain(&error), "failed to open the file: the disk failed: no space left");
/// ```
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in sources(error) {
        let source = source.to_string();
        if !text.ends_with(&source) {
            text = format!("{text}: {source}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    #[test]
    fn repeated_source_appears_once() {
        let inner = Layer("refused", Some(Box::new(Layer("port closed", None))));
        let outer = Layer("cannot connect: refused", Some(Box::new(inner)));
        assert_eq!(error_chain(&outer), "cannot connect: refused: port closed");
    }
}
