//! The report of a failed case.

use std::fmt::Write as _;

use queue_core::JobId;
use queue_core::backend::Stored;

use super::case::{Case, Tier};
use super::fault::Fault;
use super::journal::Journal;
use super::promise::Promise;

/// Number of rows up to which all rows are shown, not only those that the failure names.
const FEW_ROWS: usize = 16;

/// A failure with its context.
pub(crate) struct Failure<'a> {
    pub(crate) case: &'a Case,
    pub(crate) fault: Option<Fault>,
    /// The promise that is broken: that of the case, unless the failed check names another.
    pub(crate) promise: Option<Promise>,
    pub(crate) what: String,
    pub(crate) seed: Option<u64>,
    pub(crate) journal: &'a Journal,
    pub(crate) stored: Option<&'a Stored>,
}

impl Failure<'_> {
    pub(crate) fn report(&self) -> String {
        let mut text = format!("{}\n", self.what);
        if let Some(promise) = self.promise {
            text += &format!("\npromise {promise}: {}\n", promise.words());
        }
        if let Some(seed) = self.seed {
            text += &format!("\nseed: {seed}\n");
        }
        text += &format!("\nlast operations:\n{}", self.journal);
        if let Some(stored) = self.stored {
            text += &format!("\nrows:\n{}", rows(stored, &self.what));
        }
        text += &format!("\nrun it again:\n  {}\n", self.command());
        text
    }

    fn command(&self) -> String {
        let mut set = self.seed.map(|seed| format!("QUEUE_TEST_SEED={seed} ")).unwrap_or_default();
        if !Tier::USUAL.contains(&self.case.tier) {
            set += &format!("QUEUE_TEST_TIERS={} ", self.case.tier.as_str());
        }
        let name = self.case.trial_name(self.fault);
        match (std::env::var("CARGO_PKG_NAME"), target()) {
            (Ok(package), Some(target)) => {
                format!("{set}cargo test -p {package} --all-features --test {target} -- --exact {name}")
            }
            _ => format!("{set}{} --exact {name}", std::env::args().next().unwrap_or_default()),
        }
    }
}

/// The name of the test target, which is the name of the executable without the hash.
fn target() -> Option<String> {
    let executable = std::env::current_exe().ok()?;
    let stem = executable.file_stem()?.to_str()?;
    stem.rsplit_once('-').map(|(target, _)| target.to_owned())
}

/// The rows of the jobs that the failure names, or all rows if they are few.
fn rows(stored: &Stored, failure: &str) -> String {
    let are_few = stored.live.len() + stored.outcomes.len() <= FEW_ROWS;
    let is_shown = |id: JobId| are_few || failure.contains(&id.to_string());
    let mut text = String::new();
    for row in stored.live.iter().filter(|row| is_shown(row.id)) {
        // Ignored, because writing to a string cannot fail.
        let _ = writeln!(text, "  {row:?}");
    }
    for row in stored.outcomes.iter().filter(|row| is_shown(row.id)) {
        let _ = writeln!(text, "  {row:?}");
    }
    let _ = writeln!(
        text,
        "  (in all: jobs {}, live {}, outcomes {}, workers {:?})",
        stored.jobs.len(),
        stored.live.len(),
        stored.outcomes.len(),
        stored.workers
    );
    text
}
