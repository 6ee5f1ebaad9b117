//! A mutant must be found out by a case of the promise that it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queue_testkit::conformance::Suite;

use crate::backend::{Make, Mutant};

/// After this time a case has hung, which finds no mutant.
const PATIENCE: Duration = Duration::from_secs(100);
/// So that a run is like the other.
const SEED: u64 = 7;

/// Enters the mutants of a promise, each as a test.
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

/// Runs the cases of the promise (`Q4`) until one fails, in which the mutant must have done what is wrong with it.
pub(crate) fn is_caught(promise: &str, make: Make) {
    let reached = Arc::new(AtomicU64::new(0));
    let suite = Suite::new(Mutant { make, reached: Arc::clone(&reached) }).unwrap();
    let suite = suite.with_seed(SEED).with_timeout(PATIENCE);
    println!("{}", suite.find(promise, || reached.swap(0, Ordering::SeqCst)).unwrap());
}
