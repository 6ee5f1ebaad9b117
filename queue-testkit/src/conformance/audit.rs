//! The structural audit of the rows after every case.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::anyhow;
use queue_core::backend::{LiveRow, OutcomeRow, Stored};
use queue_core::{JobId, JobState};

use super::check::{About as _, CaseResult};
use super::promise::Promise;

/// A row that breaks a promise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) job: JobId,
    pub(crate) fault: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: job {} {}", self.promise, self.job, self.fault)
    }
}

/// Fails if a row breaks a promise, and names that of the first one. `retries` is how often each
/// job was retried by hand.
pub(crate) fn check_rows(stored: &Stored, retries: &BTreeMap<JobId, u32>) -> CaseResult {
    let violations = audit(stored, retries);
    let Some(first) = violations.first() else { return Ok(()) };
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Err(anyhow!("the structural audit found:\n  {}", lines.join("\n  "))).about(first.promise)
}

/// Returns all violations in these rows.
fn audit(stored: &Stored, retries: &BTreeMap<JobId, u32>) -> Vec<Violation> {
    let mut violations = Vec::new();
    check_tables(stored, &mut violations);
    check_keys(stored, &mut violations);
    for row in &stored.live {
        live(row, &mut Faults { job: row.id, found: &mut violations });
    }
    for row in &stored.outcomes {
        let budgets = 1 + retries.get(&row.id).copied().unwrap_or_default();
        outcome(row, budgets, &mut Faults { job: row.id, found: &mut violations });
    }
    violations
}

struct Faults<'a> {
    job: JobId,
    found: &'a mut Vec<Violation>,
}

impl Faults<'_> {
    /// Adds a violation if there is a fault.
    fn check(&mut self, is_fault: bool, promise: Promise, fault: impl FnOnce() -> String) {
        if is_fault {
            self.found.push(Violation { promise, job: self.job, fault: fault() });
        }
    }
}

/// A job's id must be in exactly one of `live` and `outcomes`, and always in `jobs`.
fn check_tables(stored: &Stored, found: &mut Vec<Violation>) {
    let jobs = distinct(stored.jobs.iter().copied(), "jobs", found);
    let live = distinct(stored.live.iter().map(|row| row.id), "live", found);
    let outcomes = distinct(stored.outcomes.iter().map(|row| row.id), "outcomes", found);
    for &job in jobs.iter().chain(&live).chain(&outcomes).collect::<BTreeSet<_>>() {
        let mut faults = Faults { job, found };
        let (is_live, is_finished) = (live.contains(&job), outcomes.contains(&job));
        faults.check(is_live && is_finished, Promise::TerminalFinal, || {
            "is in `live` and in `outcomes`".to_owned()
        });
        faults.check(!is_live && !is_finished, Promise::NoLostAck, || {
            "is only in `jobs`: neither in `live` nor in `outcomes`".to_owned()
        });
        faults.check(!jobs.contains(&job), Promise::NoPhantom, || "is missing in `jobs`".to_owned());
    }
}

/// A unique key must be held once. While it has no end, its job must be unfinished and unique, and
/// each such job must hold a key.
fn check_keys(stored: &Stored, found: &mut Vec<Violation>) {
    let unique: BTreeSet<JobId> = stored.live.iter().filter(|row| row.is_unique).map(|row| row.id).collect();
    let mut holders = BTreeSet::new();
    let mut places = BTreeSet::new();
    for row in &stored.unique_keys {
        let mut faults = Faults { job: row.job, found };
        let is_live = row.until.is_none();
        faults.check(!places.insert((&row.kind, &row.key)), Promise::UniqueOnce, || {
            format!("holds the key `{}`, which another job holds", row.key)
        });
        faults.check(is_live && !unique.contains(&row.job), Promise::UniqueOnce, || {
            format!("holds the key `{}`, but is no unfinished unique job", row.key)
        });
        faults.check(is_live && !holders.insert(row.job), Promise::UniqueOnce, || {
            format!("holds the key `{}` and another one", row.key)
        });
    }
    for &job in unique.difference(&holders) {
        Faults { job, found }.check(true, Promise::UniqueOnce, || "is unique, but holds no key".to_owned());
    }
}

fn distinct(ids: impl Iterator<Item = JobId>, table: &str, found: &mut Vec<Violation>) -> BTreeSet<JobId> {
    let mut seen = BTreeSet::new();
    for job in ids {
        let is_fault = !seen.insert(job);
        Faults { job, found }.check(is_fault, Promise::NoPhantom, || format!("has two rows in `{table}`"));
    }
    seen
}

fn live(row: &LiveRow, faults: &mut Faults<'_>) {
    let state = row.state;
    faults.check(state.is_finished(), Promise::TerminalFinal, || {
        format!("is in `live` although it is {state}")
    });
    if state == JobState::Running {
        running(row, faults);
    } else {
        waiting(row, faults);
    }
}

fn running(row: &LiveRow, faults: &mut Faults<'_>) {
    let parts = [
        ("claim", row.claim.is_some()),
        ("worker", row.worker.is_some()),
        ("deadline", row.deadline.is_some()),
    ];
    for (part, is_there) in parts {
        faults.check(!is_there, Promise::SingleLiveLease, || format!("is running without a {part}"));
    }
    faults
        .check(row.attempt == 0, Promise::AttemptBound, || "is running without a charged attempt".to_owned());
    let most = u32::from(row.max_retries) + 1;
    faults.check(row.attempt > most, Promise::AttemptBound, || overcharged(row.attempt, most));
}

fn waiting(row: &LiveRow, faults: &mut Faults<'_>) {
    let (state, attempt) = (row.state, row.attempt);
    let parts = [
        ("claim", row.claim.is_some()),
        ("worker", row.worker.is_some()),
        ("deadline", row.deadline.is_some()),
    ];
    for (part, is_there) in parts {
        faults.check(is_there, Promise::SingleLiveLease, || format!("has a {part} although it is {state}"));
    }
    let most = u32::from(row.max_retries) + 1;
    faults.check(attempt >= most, Promise::AttemptBound, || {
        format!("is {state} although all {most} attempts are charged")
    });
    faults.check(state == JobState::Retrying && attempt == 0, Promise::AttemptBound, || {
        "is retrying without a charged attempt".to_owned()
    });
}

fn outcome(row: &OutcomeRow, budgets: u32, faults: &mut Faults<'_>) {
    let (state, attempt) = (row.state, row.attempt);
    let most = (u32::from(row.max_retries) + 1).saturating_mul(budgets);
    faults.check(!state.is_finished(), Promise::TerminalFinal, || {
        format!("is in `outcomes` although it is {state}")
    });
    faults.check(attempt > most, Promise::AttemptBound, || overcharged(attempt, most));
    faults.check(
        attempt == 0 && matches!(state, JobState::Completed | JobState::Dead),
        Promise::AttemptBound,
        || format!("is {state} although it never started"),
    );
    faults.check(row.result.is_some() && state != JobState::Completed, Promise::ResultIffComplete, || {
        format!("has a result although it is {state}")
    });
    faults.check(row.claim.is_none() && state == JobState::Completed, Promise::FencedSettle, || {
        "is completed without a claim".to_owned()
    });
}

fn overcharged(attempt: u32, most: u32) -> String {
    format!("is charged {attempt} attempts, but at most {most} are permitted")
}
