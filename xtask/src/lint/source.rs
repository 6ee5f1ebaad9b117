//! Checks rules for source files that neither the compiler nor clippy checks.

use anyhow::Result;

use crate::report::Problem;
use crate::workspace::Workspace;

/// A longer file holds more than one idea.
const MAX_LINES: usize = 400;

/// Texts that must not be in a Rust file, and the advice for each. Each text is in two halves, so
/// that this file passes the check.
const FORBIDDEN: &[([&str; 2], &str)] = &[
    (["#[al", "low("], "use `#[expect(…, reason = \"…\")]`, which says when it is no longer needed"),
    (["#![al", "low("], "use `#![expect(…, reason = \"…\")]`, which says when it is no longer needed"),
    (["to", "do!("], "finish it, or leave it out"),
    (["unimple", "mented!("], "finish it, or leave it out"),
    (["TO", "DO"], "do it, or open an issue"),
    (["FIX", "ME"], "correct it, or open an issue"),
];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in workspace.with_extension(&["rs", "sql"]) {
        let text = workspace.read(path)?;
        problems.extend(overlong(path, &text));
        if path.ends_with(".rs") {
            problems.extend(forbidden(path, &text));
        }
    }
    Ok(problems)
}

fn overlong(path: &str, text: &str) -> Option<Problem> {
    let lines = text.lines().count();
    let message = || format!("{lines} lines; a file of one idea has at most {MAX_LINES}");
    (lines > MAX_LINES).then(|| Problem::at(path, MAX_LINES + 1, message()))
}

fn forbidden(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (halves, advice) in FORBIDDEN {
            let needle = halves.concat();
            if contains_word(line, &needle) {
                problems.push(Problem::at(path, number, format!("`{needle}`: {advice}")));
            }
        }
    }
    problems
}

/// Whether the line contains `needle` as a whole word.
fn contains_word(line: &str, needle: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(needle).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + needle.len()..]);
        let joins_left = needle.starts_with(in_word) && before.ends_with(in_word);
        let joins_right = needle.ends_with(in_word) && after.starts_with(in_word);
        !joins_left && !joins_right
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_over_the_limit_is_named() {
        assert_eq!(overlong("a.rs", &"x\n".repeat(400)), None);
        let problem = overlong("a.rs", &"x\n".repeat(401)).unwrap();
        assert_eq!(problem.to_string(), "a.rs:401: 401 lines; a file of one idea has at most 400");
    }

    #[test]
    fn forbidden_text_is_reported_with_its_line() {
        for (halves, advice) in FORBIDDEN {
            let needle = halves.concat();
            let text = format!("fn a() {{}}\n    {needle} ");
            let expected = Problem::at("a.rs", 2, format!("`{needle}`: {advice}"));
            assert_eq!(forbidden("a.rs", &text), [expected]);
        }
    }

    #[test]
    fn longer_word_is_allowed() {
        let longer = ["AU", "TO", "DOC"].concat();
        assert_eq!(forbidden("a.rs", &longer), []);
    }
}
