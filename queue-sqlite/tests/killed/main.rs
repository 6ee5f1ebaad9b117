//! Mutants that only cases of the tiers `crash` and `soak` find: backends that are right until
//! their process is killed, or for some hundred requests. They need a test program without the
//! standard harness, because the cases start it again as child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counter;
mod flaws;
mod subject;

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use queue_testkit::conformance::{self, Suite, Tier};

use subject::Killed;

/// A mutant, the promise that it breaks, and the tier that finds it.
#[derive(Clone, Copy)]
struct Mutant {
    tier: Tier,
    promise: &'static str,
    name: &'static str,
    make: flaws::Make,
}

macro_rules! mutants {
    ($($promise:ident $name:ident => $tier:ident $flaw:expr),+ $(,)?) => {
        const MUTANTS: &[Mutant] = &[$(Mutant {
            tier: Tier::$tier,
            promise: stringify!($promise),
            name: stringify!($name),
            make: || std::sync::Arc::new($flaw),
        }),+];
    };
}

mutants! {
    Q1 acknowledges_before_the_commit => Crash flaws::WritesBehind::default(),
    Q5 stores_a_batch_in_two_transactions => Crash flaws::HalfBatches,
    Q6 stores_follow_ups_after_the_completion => Crash flaws::LateFollowUps,
    Q10 stores_the_result_after_the_completion => Crash flaws::LateResults,
    Q23 inserts_the_job_after_the_fire => Crash flaws::LateFires,
    Q1 loses_a_request_after_some_hundred => Soak flaws::LosesRarely::default(),
}

/// A fixed seed, so that runs are equal.
const SEED: u64 = 7;
/// Long enough that each process sends thousands of requests.
const SOAK: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    if queue_testkit::child::role().is_some() {
        return conformance::main(Killed::child());
    }
    let trial = |mutant: &'static Mutant| Trial::test(mutant.name, move || is_caught(mutant));
    libtest_mimic::run(&Arguments::from_args(), MUTANTS.iter().map(trial).collect()).exit_code()
}

fn is_caught(mutant: &Mutant) -> Result<(), Failed> {
    let Mutant { tier, promise, name, make } = *mutant;
    let counter = tempfile::NamedTempFile::new()?;
    let suite = Suite::new(Killed::new(name, make, counter.path())).map_err(|error| error.to_string())?;
    let suite = suite.with_seed(SEED).with_tiers(&[tier]).with_soak(SOAK);
    let mut before = 0;
    let found = suite.find(promise, || {
        let times = counter.path().metadata().unwrap().len();
        times - std::mem::replace(&mut before, times)
    });
    found.map(drop).map_err(Failed::from)
}
