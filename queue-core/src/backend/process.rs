//! Noticing that the process was forked.

use std::borrow::Cow;
use std::process;

use crate::{Error, ErrorKind, Result};

/// The process in which a handle was opened.
///
/// A backend that works on threads of its own checks each request before it takes any lock. The
/// threads of a handle do not exist in a child that was forked from its process, so a request there
/// would wait for ever, and so would a drop that joins them. Costs one system call.
///
/// ```
/// use queue_core::backend::OwnProcess;
///
/// let process = OwnProcess::current();
/// process.check("enqueue jobs")?;
/// assert!(process.is_current());
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnProcess(u32);

impl OwnProcess {
    /// The process that calls this.
    #[must_use]
    pub fn current() -> Self {
        Self(process::id())
    }

    /// Whether the calling process is still the same.
    #[must_use]
    pub fn is_current(self) -> bool {
        self.0 == process::id()
    }

    /// Checks that the calling process is the one that opened the handle. `operation` completes the
    /// phrase "failed to …".
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) in a child that was forked since.
    pub fn check(self, operation: impl Into<Cow<'static, str>>) -> Result<()> {
        if self.is_current() {
            return Ok(());
        }
        let message = "the process was forked after the handle was opened; open a handle in the child";
        Err(Error::new(ErrorKind::Unsupported, operation, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_is_told_to_open_a_handle() {
        let process = OwnProcess::current();
        process.check("enqueue jobs").unwrap();
        let parent = OwnProcess(process.0.wrapping_add(1));
        assert!(!parent.is_current());
        let error = parent.check("enqueue jobs").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().ends_with("open a handle in the child"), "{error}");
    }
}
