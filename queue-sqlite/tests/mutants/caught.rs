//! A mutant must be found out by a case of the promise that it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queue_testkit::conformance::Suite;

use crate::subject::{Mutant, Mutation};

/// After this time a case has hung, which finds no mutant.
const PATIENCE: Duration = Duration::from_secs(200);
/// So that a run is like the other.
const SEED: u64 = 7;

/// Enters the mutants of a file, each as a test.
///
/// ```text
/// mutants! {
///     Q14 claims_a_tick_too_early => Mutation::trigger("…"),
/// }
/// ```
macro_rules! mutants {
    ($($promise:ident $name:ident => $mutation:expr),+ $(,)?) => {$(
        #[test]
        fn $name() {
            $crate::caught::is_caught(stringify!($promise), $mutation);
        }
    )+};
}
pub(crate) use mutants;

/// Runs the cases of the promise (`Q4`) until one fails, in which the mutation must have happened.
pub(crate) fn is_caught(promise: &str, mutation: Mutation) {
    let reached = Arc::new(AtomicU64::new(0));
    let suite = Suite::new(Mutant { mutation, reached: Arc::clone(&reached) }).unwrap();
    let suite = suite.with_seed(SEED).with_timeout(PATIENCE);
    println!("{}", suite.find(promise, || reached.swap(0, Ordering::SeqCst)).unwrap());
}
