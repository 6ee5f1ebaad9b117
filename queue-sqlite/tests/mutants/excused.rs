//! The cases that the backend is excused from, to the letter; and that it is the mutations that are found.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use queue_testkit::conformance::{CaseInfo, Promise, Suite, Tier};

use crate::mutated::Before;
use crate::subject::{Mutant, Mutation};

/// Each case, and the first thing that it needs and the backend does not declare.
const EXCUSED: [&str; 0] = [];

#[test]
fn the_backend_is_excused_from_these_cases_and_no_others() {
    let sound = Mutant { mutation: Mutation::None, reached: Arc::new(AtomicU64::new(0)) };
    let excused = Suite::new(sound).unwrap().excused();
    let excused: Vec<String> =
        excused.into_iter().map(|(case, missing)| format!("{}: {missing}", case.name())).collect();
    assert_eq!(excused, EXCUSED);
}

struct Nothing;

impl Before for Nothing {}

/// And triggers that only count.
const COUNTS: &str = "CREATE TRIGGER IF NOT EXISTS mutant AFTER UPDATE OF claim ON queue_live BEGIN
        UPDATE mutant_reached SET times = times + 1;
    END";

#[test]
fn what_surrounds_a_mutation_is_not_found() {
    for mutation in [Mutation::Before(|| Arc::new(Nothing)), Mutation::Trigger(COUNTS)] {
        let suite = Suite::new(Mutant { mutation, reached: Arc::new(AtomicU64::new(0)) }).unwrap();
        let is_run = |case: &CaseInfo| {
            let promises = [Promise::FencedSettle, Promise::ExpiryRecovers, Promise::HeartbeatExtends];
            case.tier() <= Tier::Race && promises.into_iter().any(|promise| case.proves(promise))
        };
        for case in suite.applicable().into_iter().filter(is_run) {
            suite.run(case.name()).unwrap();
        }
    }
}
