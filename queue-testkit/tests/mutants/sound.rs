//! The wrapper without a mutation passes, so a failure of a mutant is due to its mutation.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use queue_testkit::conformance::{Promise, Suite, Tier};

use crate::backend::Mutant;
use crate::mutation::Mutation;

struct NoMutation;

impl Mutation for NoMutation {
    fn inserts_and_claims(&self) -> bool {
        true
    }
}

#[test]
fn a_wrapper_that_breaks_nothing_passes_every_case() {
    let suite =
        Suite::new(Mutant { make: || Arc::new(NoMutation), reached: Arc::new(AtomicU64::new(0)) }).unwrap();
    for case in suite.applicable().into_iter().filter(|case| case.tier() <= Tier::Race) {
        suite.run(case.name()).unwrap();
    }
}

/// The wrapper is excused only from cases that need a schema, a backup or a transaction of an
/// application, because memory has none of them.
#[test]
fn wrapper_is_excused_only_from_what_memory_lacks() {
    let suite =
        Suite::new(Mutant { make: || Arc::new(NoMutation), reached: Arc::new(AtomicU64::new(0)) }).unwrap();
    for (case, missing) in suite.excused().into_iter().filter(|(case, _)| case.tier() <= Tier::Race) {
        let lacks = ["Storage::back_up", "Subject::begin"].iter().any(|need| missing.contains(need));
        let is_excused = case.proves(Promise::MigrateSafe) || lacks;
        assert!(is_excused, "{} is not run: it {missing}", case.name());
    }
}
