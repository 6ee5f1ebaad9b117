//! The checks that cases use.

use std::fmt;

use similar::TextDiff;

use super::promise::Promise;

/// The length up to which a failure shows both values whole, and not only how they differ.
const SHORT: usize = 160;
/// The number of equal lines that a failure shows before and after lines that differ, so that the
/// fields around a nested value can be seen.
const CONTEXT: usize = 2;

/// The result of a case. An error describes the wrong behaviour.
pub(crate) type CaseResult = anyhow::Result<()>;

/// Fails unless both values are equal. The error shows both, after their description; of long
/// values it shows the fields that differ.
macro_rules! ensure_eq {
    ($($check:tt)+) => {
        $crate::conformance::check::check_eq!($($check)+)?
    };
}
pub(crate) use ensure_eq;

/// Like [`ensure_eq`], but returns the failure, so that the caller can name the broken promise.
macro_rules! check_eq {
    ($seen:expr, $expected:expr, $($what:tt)+) => {
        match (&$seen, &$expected) {
            (seen, expected) => $crate::conformance::check::same(seen, expected, format_args!($($what)+)),
        }
    };
}
pub(crate) use check_eq;

/// See [`ensure_eq`].
pub(crate) fn same<A, B>(seen: &A, expected: &B, what: fmt::Arguments<'_>) -> CaseResult
where
    A: PartialEq<B> + fmt::Debug + ?Sized,
    B: fmt::Debug + ?Sized,
{
    if *seen == *expected {
        return Ok(());
    }
    anyhow::bail!("{what}:\n{}", difference(&seen, &expected))
}

/// Describes how two values differ.
pub(crate) fn difference(seen: &dyn fmt::Debug, expected: &dyn fmt::Debug) -> String {
    let (short, short_expected) = (format!("{seen:?}"), format!("{expected:?}"));
    // Equal texts have no difference to show. Values may differ in what they do not print.
    if short.len().max(short_expected.len()) <= SHORT || short == short_expected {
        return format!("      seen {short}\n  expected {short_expected}");
    }
    let (seen, expected) = (format!("{seen:#?}\n"), format!("{expected:#?}\n"));
    let lines = TextDiff::from_lines(&expected, &seen);
    let text = lines.unified_diff().context_radius(CONTEXT).to_string();
    let lines = text.lines().filter(|line| !line.starts_with("@@"));
    format!("  (+ seen, - expected)\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The context of a failed check about another promise than that of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) Promise);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken", self.0)
    }
}

/// Names the promise that a check is about.
pub(crate) trait About<T> {
    fn about(self, promise: Promise) -> anyhow::Result<T>;
}

impl<T, E> About<T> for Result<T, E>
where
    Self: anyhow::Context<T, E>,
{
    fn about(self, promise: Promise) -> anyhow::Result<T> {
        anyhow::Context::context(self, Broken(promise))
    }
}

/// The promise that a failure names, if it names one.
pub(crate) fn broken_promise(failure: &anyhow::Error) -> Option<Promise> {
    failure.downcast_ref::<Broken>().map(|broken| broken.0)
}

/// Fails unless the result is an error of this kind, and returns the error.
pub(crate) fn fails_with<T: fmt::Debug>(
    result: queue_core::Result<T>,
    kind: queue_core::ErrorKind,
) -> anyhow::Result<queue_core::Error> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => anyhow::bail!("expected an error of kind `{kind}`, seen `{}`: {error}", error.kind()),
        Ok(reply) => anyhow::bail!("expected an error of kind `{kind}`, seen {reply:?}"),
    }
}

#[cfg(test)]
mod tests {
    use queue_core::backend::LiveRow;
    use queue_core::{JobId, JobState, QueueName, Timestamp};

    use super::difference;

    #[test]
    fn long_values_show_only_the_fields_that_differ() {
        let id = JobId::from_bytes([7; 16]);
        let seen = LiveRow::new(id, QueueName::default(), JobState::Ready, Timestamp::UNIX_EPOCH);
        let text = difference(&seen, &seen.clone().attempt(3));
        assert!(text.contains("\n-    attempt: 3,\n+    attempt: 0,"), "{text}");
        assert!(!text.contains("queue"), "{text}");
    }

    #[test]
    fn short_values_are_shown_whole() {
        assert_eq!(difference(&1, &[2]), "      seen 1\n  expected [2]");
    }
}
