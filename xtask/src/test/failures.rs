//! Collects the failures of a run to print them again at the end, because thousands of lines
//! separate them.

use std::fmt;

/// Maximum number of lines printed per failure: first lines, which have the error, and last lines.
/// There the conformance suite prints how to run the case again.
const FIRST_LINES: usize = 40;
const LAST_LINES: usize = 4;
/// Maximum number of characters per line, because payloads in a dump can be long.
const LINE_CHARACTERS: usize = 300;

/// The beginning of the list of cases that reached too little.
const NOT_SHOWN: &str = "conformance: not shown";

/// Reads failures from the output of test programs. libtest, libtest-mimic and rustdoc print the
/// line `failures:` first, then each failure under `---- name`. A second such line begins the list
/// of names. Also reads the list of cases that reached too little, which ends with an empty line.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    failures: Vec<Vec<String>>,
    is_inside: bool,
}

impl Failures {
    pub(crate) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Reads the next line of output.
    pub(crate) fn read(&mut self, line: &str) {
        match line.trim_end() {
            "failures:" => self.is_inside = !self.is_inside,
            line if line.starts_with("test result:") => self.is_inside = false,
            line if line.starts_with(NOT_SHOWN) => {
                self.failures.push(vec![shortened(line)]);
                self.is_inside = true;
            }
            "" if self.failures.last().is_some_and(|lines| lines[0].starts_with(NOT_SHOWN)) => {
                self.is_inside = false;
            }
            _ if !self.is_inside => {}
            line if line.starts_with("---- ") => self.failures.push(vec![shortened(line)]),
            line => {
                if let Some(failure) = self.failures.last_mut() {
                    failure.push(shortened(line));
                }
            }
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lines in &self.failures {
            let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
            let skipped = end.saturating_sub(FIRST_LINES + LAST_LINES);
            for (number, line) in lines[..end].iter().enumerate() {
                if skipped > 0 && number == FIRST_LINES {
                    writeln!(f, "({skipped} lines are left out here)")?;
                }
                if !(FIRST_LINES..FIRST_LINES + skipped).contains(&number) {
                    writeln!(f, "{line}")?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: &str) -> String {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        failures.to_string()
    }

    #[test]
    fn only_failures_are_printed() {
        let output = "\
running 3 tests
test one ... FAILED
test two ... ok
test three ... FAILED

failures:

---- one stdout ----
one is wrong

---- three stdout ----

three is wrong


failures:
    one
    three

test result: FAILED. 1 passed; 2 failed
test four ... ok

test result: ok. 1 passed
test [fast] five ... FAILED

failures:

---- five ----
five is wrong

failures:
    five

test result: FAILED. 0 passed; 1 failed
conformance: not shown, because these cases reached too little:
  six: it never met seven

conformance: 100 processes killed
";
        let expected = "\
---- one stdout ----
one is wrong

---- three stdout ----

three is wrong

---- five ----
five is wrong

conformance: not shown, because these cases reached too little:
  six: it never met seven

";
        assert_eq!(printed(output), expected);
    }

    #[test]
    fn long_failure_is_cut_in_the_middle() {
        let lines: Vec<String> = (1..100).map(|number| format!("line {number}")).collect();
        let printed =
            printed(&format!("failures:\n\n---- long ----\n{}\n\nfailures:\n    long\n", lines.join("\n")));
        assert!(printed.contains("line 39\n(56 lines are left out here)\nline 96\n"), "{printed}");
        assert!(printed.ends_with("line 99\n\n"), "{printed}");
    }

    #[test]
    fn long_line_is_cut_between_characters() {
        let printed = printed(&format!("failures:\n---- wide ----\n{}\n", "ä".repeat(LINE_CHARACTERS + 1)));
        assert_eq!(printed, format!("---- wide ----\n{}…\n\n", "ä".repeat(LINE_CHARACTERS)));
    }
}
