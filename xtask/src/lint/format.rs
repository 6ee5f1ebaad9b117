//! Checks that rustfmt would change nothing.

use anyhow::Result;

use crate::process::{capture, cargo};
use crate::report::Problem;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let output = capture(&mut cargo(["fmt", "--all", "--", "--check", "--color", "never"]))?;
    let root = format!("{}/", workspace.root.display());
    let mut problems = differences(&String::from_utf8_lossy(&output.stdout), &root);
    if problems.is_empty() && !output.status.success() {
        // A file with a syntax error has no differences, only an error.
        problems.push(Problem::of("cargo fmt", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(problems)
}

/// Reads lines of the form `Diff in /root/path.rs:12:`, which precede each difference.
fn differences(output: &str, root: &str) -> Vec<Problem> {
    let headings = output.lines().filter_map(|line| line.strip_prefix("Diff in "));
    let problem = |heading: &str| {
        let location = heading.trim_end_matches(':');
        let location = location.strip_prefix(root).unwrap_or(location);
        Problem::of(location, "not formatted; `cargo xtask fix` formats it")
    };
    headings.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_a_problem_with_its_line() {
        let output = "Diff in /w/queue/src/lib.rs:12:\n fn a() {\n-  b();\n+    b();\nDiff in /w/x.rs:3:\n";
        let message = "not formatted; `cargo xtask fix` formats it";
        let expected = [Problem::at("queue/src/lib.rs", 12, message), Problem::at("x.rs", 3, message)];
        assert_eq!(differences(output, "/w/"), expected);
    }
}
