//! Short constructors of verdicts.

use std::time::Duration;

use queue_core::JobSpec;
use queue_core::backend::{Completion, Verdict};

pub(crate) fn complete() -> Verdict {
    Verdict::Complete(Completion::new())
}

pub(crate) fn complete_with(result: &[u8]) -> Verdict {
    Verdict::Complete(Completion::new().result(result.to_vec()))
}

pub(crate) fn complete_then(follow_ups: impl IntoIterator<Item = JobSpec>) -> Verdict {
    Verdict::Complete(Completion::new().follow_ups(follow_ups.into_iter().collect()))
}

pub(crate) fn retry(error: &str, seconds: u64) -> Verdict {
    Verdict::Retry { error: error.to_owned(), delay: Duration::from_secs(seconds) }
}

pub(crate) fn bury(error: &str) -> Verdict {
    Verdict::Bury { error: error.to_owned() }
}

pub(crate) fn snooze(seconds: u64) -> Verdict {
    Verdict::Snooze { delay: Duration::from_secs(seconds) }
}

pub(crate) fn cancelled(reason: &str) -> Verdict {
    Verdict::Cancel { reason: reason.to_owned() }
}

pub(crate) fn release() -> Verdict {
    Verdict::Release
}
