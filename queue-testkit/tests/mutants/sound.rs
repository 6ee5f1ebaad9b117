//! The wrapper without a mutation passes, so that it is the mutation that is found.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use queue_testkit::conformance::{Promise, Suite, Tier};

use crate::backend::Mutant;
use crate::mutation::Mutation;

struct Nothing;

impl Mutation for Nothing {
    fn inserts_and_claims(&self) -> bool {
        true
    }
}

#[test]
fn a_wrapper_that_breaks_nothing_passes_every_case() {
    let suite =
        Suite::new(Mutant { make: || Arc::new(Nothing), reached: Arc::new(AtomicU64::new(0)) }).unwrap();
    for case in suite.applicable().into_iter().filter(|case| case.tier() <= Tier::Race) {
        suite.run(case.name()).unwrap();
    }
}

/// All but those that a wrapper around the memory cannot break: it has nothing that a restore could replace under it.
#[test]
fn the_cases_that_a_wrapper_is_excused_from_are_of_q21_or_need_a_backup() {
    let suite =
        Suite::new(Mutant { make: || Arc::new(Nothing), reached: Arc::new(AtomicU64::new(0)) }).unwrap();
    for (case, missing) in suite.excused().into_iter().filter(|(case, _)| case.tier() <= Tier::Race) {
        let is_excused = case.proves(Promise::MigrateSafe) || missing.contains("`back_up`");
        assert!(is_excused, "{} is not run: it needs {missing}", case.name());
    }
}
