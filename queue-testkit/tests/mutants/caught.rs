//! A mutant must be found out by a case of the promise that it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queue_testkit::conformance::{Promise, Suite, Tier};

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
    let promise = Promise::ALL.iter().find(|known| format!("Q{}", known.number()) == promise).unwrap();
    let mut cases = suite.applicable();
    cases.retain(|case| case.proves(*promise) && case.tier() <= Tier::Race);
    cases.sort_by_key(|case| case.tier());
    for case in &cases {
        reached.store(0, Ordering::SeqCst);
        if let Err(failure) = suite.run(case.name()) {
            let times = reached.load(Ordering::SeqCst);
            assert!(times > 0, "{} fails, though the mutant did nothing wrong: {failure}", case.name());
            assert!(!failure.is_timeout(), "{} hangs, and does not say why: {failure}", case.name());
            println!("{} finds it, after {times} times: {failure}", case.name());
            return;
        }
    }
    panic!("none of the {} cases of {promise} finds it", cases.len());
}
