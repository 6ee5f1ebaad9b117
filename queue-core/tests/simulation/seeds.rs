//! Which seeds a test runs, and how a failed seed is run again.

use std::any::type_name;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

/// How many seeds a test runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    /// By default.
    pub(crate) few: u64,
    /// In a run of all tiers.
    pub(crate) many: u64,
}

/// Whether a run had enough seeds for rare events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    /// Fewer seeds than by default.
    Part,
}

impl Seeds {
    pub(crate) const fn new(few: u64, many: u64) -> Self {
        Self { few, many }
    }

    /// Runs a test with each seed: only `QUEUE_TEST_SEED`, or the first `QUEUE_TEST_SEEDS`, or as
    /// many as the tiers need.
    pub(crate) fn each<F: FnMut(u64)>(self, mut run: F) -> Extent {
        let seeds = self.range();
        let extent = if seeds.start == 0 && seeds.end >= self.few { Extent::Full } else { Extent::Part };
        for seed in seeds {
            let _replay = Replay { seed, test: test_of::<F>() };
            run(seed);
        }
        extent
    }

    fn range(self) -> Range<u64> {
        if let Some(seed) = set("QUEUE_TEST_SEED") {
            return seed..seed + 1;
        }
        let is_all = std::env::var("QUEUE_TEST_TIERS").is_ok_and(|tiers| tiers.trim() == "all");
        0..set("QUEUE_TEST_SEEDS").unwrap_or(if is_all { self.many } else { self.few })
    }
}

/// Prints how to run a seed again if the test panics.
struct Replay {
    seed: u64,
    test: &'static str,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, test } = self;
            let command = "cargo test -p queue-core --all-features --test simulation";
            eprintln!("seed {seed} failed; again: QUEUE_TEST_SEED={seed} {command} {test}");
        }
    }
}

/// The test that a closure is written in.
fn test_of<F>() -> &'static str {
    let path = type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, test)| test)
}

fn set<T: FromStr<Err: Display>>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable} is `{text}`: {error}")))
}
