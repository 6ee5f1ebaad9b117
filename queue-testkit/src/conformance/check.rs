//! The checks that cases are written with.

/// How a case ends: an error says what it saw instead.
pub(crate) type CaseResult = anyhow::Result<()>;

/// Fails unless both sides are equal, showing them and what they are.
macro_rules! ensure_eq {
    ($seen:expr, $expected:expr, $($what:tt)+) => {
        match (&$seen, &$expected) {
            (seen, expected) => {
                if *seen != *expected {
                    anyhow::bail!(
                        "{}:\n      seen {:?}\n  expected {:?}",
                        format_args!($($what)+), seen, expected
                    );
                }
            }
        }
    };
}
pub(crate) use ensure_eq;

/// Fails unless the result is an error of this kind; gives the error.
pub(crate) fn fails_with<T: std::fmt::Debug>(
    result: queue_core::Result<T>,
    kind: queue_core::ErrorKind,
) -> anyhow::Result<queue_core::Error> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => anyhow::bail!("expected an error of kind `{kind}`, seen `{}`: {error}", error.kind()),
        Ok(reply) => anyhow::bail!("expected an error of kind `{kind}`, seen {reply:?}"),
    }
}
