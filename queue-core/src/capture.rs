//! The result of an attempt, as its handler captures it.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::poison::ignore_poison;

/// Holds the result of one attempt. Clones share it.
///
/// ```
/// use queue_core::{JobContext, Kind, ResultCapture};
///
/// let capture = ResultCapture::new();
/// let context = JobContext::new(Kind::new("resize")?).with_result_capture(capture.clone());
/// assert_eq!(capture.result(), None);
/// context.capture_result(b"640x480".as_slice());
/// assert_eq!(capture.result().as_deref(), Some(b"640x480".as_slice()));
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ResultCapture(Arc<Mutex<Option<Vec<u8>>>>);

impl ResultCapture {
    /// Creates an empty capture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the last captured result, if there is one.
    #[must_use]
    pub fn result(&self) -> Option<Vec<u8>> {
        ignore_poison(self.0.lock()).clone()
    }

    pub(crate) fn put(&self, bytes: Vec<u8>) {
        *ignore_poison(self.0.lock()) = Some(bytes);
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        ignore_poison(self.0.lock()).take()
    }
}

impl fmt::Debug for ResultCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.result().map(|result| result.len());
        f.debug_struct("ResultCapture").field("bytes", &bytes).finish()
    }
}
