//! Each mutant must make a case of the promise that it breaks fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queue_testkit::conformance::Suite;

use crate::subject::{Mutant, Mutation};

/// After this time a case counts as hung, which finds no mutant.
const PATIENCE: Duration = Duration::from_secs(200);
/// A fixed seed, so that runs are equal.
const SEED: u64 = 7;

/// Declares each mutant of a file as a test.
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

/// Runs the cases of the promise (`Q4`) until one fails. The mutation must have happened by then.
pub(crate) fn is_caught(promise: &str, mutation: Mutation) {
    let reached = Arc::new(AtomicU64::new(0));
    let suite = Suite::new(Mutant { mutation, reached: Arc::clone(&reached) }).unwrap();
    let suite = suite.with_seed(SEED).with_timeout(PATIENCE);
    println!("{}", suite.find(promise, || reached.swap(0, Ordering::SeqCst)).unwrap());
}
