//! Mutants that only cases of the tier `crash` find: backends that are right until their process is
//! killed. They need a test program without the standard harness, because the cases start it again
//! as child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counter;
mod flaws;
mod subject;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use queue_testkit::conformance::{self, Suite, Tier};

use subject::Killed;

/// Each promise and the mutant that breaks it.
macro_rules! mutants {
    ($($promise:ident $name:ident => $flaw:expr),+ $(,)?) => {
        const MUTANTS: &[(&str, &str, flaws::Make)] =
            &[$((stringify!($promise), stringify!($name), || std::sync::Arc::new($flaw))),+];
    };
}

mutants! {
    Q1 acknowledges_before_the_commit => flaws::WritesBehind::default(),
    Q5 stores_a_batch_in_two_transactions => flaws::HalfBatches,
    Q6 stores_follow_ups_after_the_completion => flaws::LateFollowUps,
    Q10 stores_the_result_after_the_completion => flaws::LateResults,
}

/// A fixed seed, so that runs are equal.
const SEED: u64 = 7;

fn main() -> ExitCode {
    if queue_testkit::child::role().is_some() {
        return conformance::main(Killed::child());
    }
    let trial = |(promise, name, make): &(&'static str, &'static str, flaws::Make)| {
        let (promise, name, make) = (*promise, *name, *make);
        Trial::test(name, move || is_caught(promise, name, make))
    };
    libtest_mimic::run(&Arguments::from_args(), MUTANTS.iter().map(trial).collect()).exit_code()
}

fn is_caught(promise: &str, name: &'static str, make: flaws::Make) -> Result<(), Failed> {
    let counter = tempfile::NamedTempFile::new()?;
    let suite = Suite::new(Killed::new(name, make, counter.path())).map_err(|error| error.to_string())?;
    let suite = suite.with_seed(SEED).with_tiers(&[Tier::Crash]);
    let mut before = 0;
    let found = suite.find(promise, || {
        let times = counter.path().metadata().unwrap().len();
        times - std::mem::replace(&mut before, times)
    });
    found.map(drop).map_err(Failed::from)
}
