//! The cases that the backend is excused from, to the letter; and that it is the mutations that are found.

use std::sync::Arc;

use queue_testkit::conformance::{Promise, Suite, Tier};
use queue_testserver::url;

use crate::place::unique;
use crate::subject::{Mutant, Wrong};
use crate::sweeper::Sweeper;

/// Each case, and the first thing that it needs and the backend does not declare.
const EXCUSED: [&str; 0] = [];

#[test]
fn the_backend_is_excused_from_these_cases_and_no_others() {
    let sweeper = Arc::new(Sweeper::new());
    sweeper.start(&url().unwrap());
    let suite = Suite::new(Mutant::new(Wrong::Nothing, unique("sound"), Arc::clone(&sweeper))).unwrap();
    let excused: Vec<String> =
        suite.excused().into_iter().map(|(case, missing)| format!("{}: {missing}", case.name())).collect();
    assert_eq!(excused, EXCUSED);
    let is_run = |promise| [Promise::ExpiryRecovers, Promise::MigrateSafe].contains(promise);
    for promise in Promise::ALL.iter().filter(|promise| is_run(promise)) {
        for case in
            suite.applicable().iter().filter(|case| case.proves(*promise) && case.tier() <= Tier::Race)
        {
            suite.run(case.name()).unwrap();
        }
    }
    sweeper.finish();
}
