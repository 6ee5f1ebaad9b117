//! Detection of a forked process.

use std::borrow::Cow;
use std::process;

use crate::{Error, ErrorKind, Result};

/// The process in which a handle was opened.
///
/// A backend with its own threads must check each request before it takes a lock, because those
/// threads do not exist in a forked child. Without the check, a request in the child, or a drop
/// that joins the threads, would wait forever. A check costs one system call.
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
    /// The calling process.
    #[must_use]
    pub fn current() -> Self {
        Self(process::id())
    }

    /// Returns whether the calling process is this process.
    #[must_use]
    pub fn is_current(self) -> bool {
        self.0 == process::id()
    }

    /// Checks that the calling process opened the handle. `operation` completes the phrase "failed
    /// to …".
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) in a child that was forked later.
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
    fn check_in_another_process_is_unsupported() {
        let process = OwnProcess::current();
        process.check("enqueue jobs").unwrap();
        let parent = OwnProcess(process.0.wrapping_add(1));
        assert!(!parent.is_current());
        let error = parent.check("enqueue jobs").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().ends_with("open a handle in the child"), "{error}");
    }
}
