//! The wrapper without a mutation passes, so that it is the mutation that is found.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use queue_testkit::conformance::{Promise, Suite, Tier};

use crate::backend::Mutant;
use crate::mutation::Mutation;

struct Nothing;

impl Mutation for Nothing {}

#[test]
fn a_wrapper_that_breaks_nothing_passes_every_case() {
    let suite =
        Suite::new(Mutant { make: || Arc::new(Nothing), reached: Arc::new(AtomicU64::new(0)) }).unwrap();
    for case in suite.applicable().into_iter().filter(|case| case.tier() <= Tier::Race) {
        suite.run(case.name()).unwrap();
    }
}

/// All but those that a wrapper around the memory cannot break.
#[test]
fn the_cases_that_a_wrapper_is_excused_from_are_of_q21() {
    let suite =
        Suite::new(Mutant { make: || Arc::new(Nothing), reached: Arc::new(AtomicU64::new(0)) }).unwrap();
    for (case, missing) in suite.excused().into_iter().filter(|(case, _)| case.tier() <= Tier::Race) {
        assert!(case.proves(Promise::MigrateSafe), "{} is not run: it needs {missing}", case.name());
    }
}
