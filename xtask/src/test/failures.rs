//! The failures of a run, told again at its end: thousands of lines of success lie in between.

use std::fmt;

/// The most lines of one failure that are told again: of its beginning, which says what was wrong, and of its
/// end, where the conformance suite says how to run the case again.
const FIRST_LINES: usize = 40;
const LAST_LINES: usize = 4;
/// The most characters of a line; the payloads in a dump can be long.
const LINE_CHARACTERS: usize = 300;

/// Picks the failures out of the output of test programs, which libtest, libtest-mimic and rustdoc write alike:
/// after the line `failures:`, each under `---- its name`, up to a second such line with all the names.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    failures: Vec<Vec<String>>,
    is_inside: bool,
}

impl Failures {
    pub(crate) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes the next line of the output.
    pub(crate) fn read(&mut self, line: &str) {
        match line.trim_end() {
            "failures:" => self.is_inside = !self.is_inside,
            line if line.starts_with("test result:") => self.is_inside = false,
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

    fn told(output: &str) -> String {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        failures.to_string()
    }

    #[test]
    fn each_failure_of_each_program_is_told_and_nothing_else() {
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
";
        let expected = "\
---- one stdout ----
one is wrong

---- three stdout ----

three is wrong

---- five ----
five is wrong

";
        assert_eq!(told(output), expected);
    }

    #[test]
    fn of_a_long_failure_the_beginning_and_the_end_are_told() {
        let lines: Vec<String> = (1..100).map(|number| format!("line {number}")).collect();
        let told =
            told(&format!("failures:\n\n---- long ----\n{}\n\nfailures:\n    long\n", lines.join("\n")));
        assert!(told.contains("line 39\n(56 lines are left out here)\nline 96\n"), "{told}");
        assert!(told.ends_with("line 99\n\n"), "{told}");
    }

    #[test]
    fn a_long_line_is_shortened_between_characters() {
        let told = told(&format!("failures:\n---- wide ----\n{}\n", "ä".repeat(LINE_CHARACTERS + 1)));
        assert_eq!(told, format!("---- wide ----\n{}…\n\n", "ä".repeat(LINE_CHARACTERS)));
    }
}
