//! Cases that found no fault, and whether they have shown that there is none.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// A case that found no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pass {
    /// It reached what it is about.
    Shown,
    /// It did not, for this reason, which depends on the speed of the backend and of the machine.
    NotShown(String),
}

impl Pass {
    /// Reads the outcome of a case. Any error but [`NotShown`] is its failure.
    pub(crate) fn of(outcome: anyhow::Result<()>) -> anyhow::Result<Self> {
        match outcome.map_err(anyhow::Error::downcast) {
            Ok(()) => Ok(Self::Shown),
            Err(Ok(NotShown(why))) => Ok(Self::NotShown(why)),
            Err(Err(failure)) => Err(failure),
        }
    }
}

/// The error of a case that did not reach what it is about. It is no failure.
#[derive(Debug)]
pub(crate) struct NotShown(String);

/// Creates that error. The text says what was to be reached, and what was.
pub(crate) fn not_shown(why: impl Into<String>) -> anyhow::Error {
    NotShown(why.into()).into()
}

impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotShown {}

/// The result of a run with cases that have not shown what they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfNotShown {
    /// It passes, and its output names them.
    Report,
    /// It fails.
    Fail,
}

impl FromStr for IfNotShown {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name {
            "report" => Ok(Self::Report),
            "fail" => Ok(Self::Fail),
            _ => anyhow::bail!("it must be `report` or `fail`"),
        }
    }
}

/// The cases of a run that have not shown what they are about, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct OpenCases(Mutex<Vec<String>>);

impl OpenCases {
    pub(crate) fn add(&self, name: &str, why: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name}: {why}"));
    }

    /// Prints them, and returns whether the run may pass.
    #[expect(clippy::print_stdout, reason = "the operator of the suite reads it")]
    pub(crate) fn report(&self, if_not_shown: IfNotShown) -> bool {
        let mut cases = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if cases.is_empty() {
            return true;
        }
        cases.sort();
        println!("conformance: not shown, because these cases did not reach what they are about. They");
        println!("found no fault. Run them again on a machine with less load:");
        cases.iter().for_each(|case| println!("  {case}"));
        println!();
        if_not_shown == IfNotShown::Report
    }
}
