//! Checks that a case of the promise finds each mutant.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queue_testkit::conformance::Suite;

use crate::backend::{Make, Mutant};

/// A case that exceeds this time hangs, which does not count as finding the mutant.
pub(crate) const CASE_TIMEOUT: Duration = Duration::from_secs(100);
/// Mutants make cases wait for what never comes.
pub(crate) const WAIT: Duration = Duration::from_secs(4);
/// A fixed seed makes runs repeatable.
pub(crate) const SEED: u64 = 7;

/// Declares the mutants of a promise, each as a test.
///
/// ```text
/// mutants! {
///     Q4 settles_without_the_fence => SettlesWithoutTheFence,
/// }
/// ```
macro_rules! mutants {
    ($($promise:ident $name:ident => $mutation:expr),+ $(,)?) => {$(
        #[test]
        fn $name() {
            $crate::caught::is_caught(stringify!($promise), || std::sync::Arc::new($mutation));
        }
    )+};
}
pub(crate) use mutants;

/// Runs the cases of the promise (`Q4`) until one fails. The fault of the mutant must have occurred
/// in that case.
pub(crate) fn is_caught(promise: &str, make: Make) {
    let reached = Arc::new(AtomicU64::new(0));
    let suite = Suite::new(Mutant { make, reached: Arc::clone(&reached) }).unwrap();
    let suite = suite.with_seed(SEED).with_timeout(CASE_TIMEOUT).with_wait(WAIT);
    println!("{}", suite.find(promise, || reached.swap(0, Ordering::SeqCst)).unwrap());
}
