//! The checks that cases use.

/// The result of a case. An error describes the wrong behaviour.
pub(crate) type CaseResult = anyhow::Result<()>;

/// Fails unless both values are equal. The error shows both, after their description.
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

/// Fails unless the result is an error of this kind, and returns the error.
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
