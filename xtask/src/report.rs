//! Runs the steps of a task. All steps run, each prints its result, and problems fail the task at
//! the end.

use std::fmt;
use std::time::Instant;

use anyhow::{Result, bail};

/// A problem and its location.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    location: String,
    message: String,
}

impl Problem {
    /// A problem on one line of a file; lines count from 1.
    pub(crate) fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { location: format!("{path}:{line}"), message: message.into() }
    }

    /// A problem of a whole file, package or command.
    pub(crate) fn of(location: impl Into<String>, message: impl Into<String>) -> Self {
        Self { location: location.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// The results of the steps so far.
pub(crate) struct Report {
    chore: &'static str,
    started: Instant,
    steps: usize,
    problems: usize,
    failed_steps: Vec<String>,
}

impl Report {
    pub(crate) fn begin(chore: &'static str) -> Self {
        Self { chore, started: Instant::now(), steps: 0, problems: 0, failed_steps: Vec::new() }
    }

    /// Runs a step and prints its problems. A step that cannot run counts as a problem.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<Vec<Problem>>) {
        println!("-- {name}");
        let started = Instant::now();
        let problems = run().unwrap_or_else(|error| vec![Problem::of(name, format!("{error:#}"))]);
        for problem in &problems {
            println!("{problem}");
        }
        let seconds = started.elapsed().as_secs_f64();
        self.steps += 1;
        if problems.is_empty() {
            println!("   ok, {seconds:.1} s");
        } else {
            println!("   {}, {seconds:.1} s", counted(problems.len(), "problem"));
            self.problems += problems.len();
            self.failed_steps.push(name.to_owned());
        }
    }

    /// Prints the totals. Fails if any step had a problem.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { chore, started, steps, problems, failed_steps } = self;
        let (steps, seconds) = (counted(steps, "step"), started.elapsed().as_secs_f64());
        println!("{chore}: {} in {steps}, {seconds:.1} s", counted(problems, "problem"));
        if problems > 0 {
            bail!("{chore} found {} in: {}", counted(problems, "problem"), failed_steps.join("; "));
        }
        Ok(())
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn later_steps_run_and_failed_ones_are_named() {
        let mut report = Report::begin("lint");
        report.step("first", || Ok(vec![Problem::at("a.rs", 3, "too long"), Problem::of("b", "missing")]));
        report.step("second", || Err(anyhow!("git is not there")));
        report.step("third", || Ok(vec![]));
        assert_eq!(report.steps, 3);
        assert_eq!(report.finish().unwrap_err().to_string(), "lint found 3 problems in: first; second");
    }

    #[test]
    fn problem_starts_with_path_and_line() {
        assert_eq!(Problem::at("a/b.md", 7, "no such crate").to_string(), "a/b.md:7: no such crate");
    }
}
