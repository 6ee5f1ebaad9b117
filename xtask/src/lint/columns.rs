//! Checks that lines have at most 100 columns.
//!
//! In Rust this applies to comment lines. rustfmt breaks code at its own `max_width`. A line that
//! is one token, such as a URL, and a row of a Markdown table may be longer.

use anyhow::Result;

use super::finished;
use crate::report::Problem;
use crate::workspace::Workspace;

const MAX_COLUMNS: usize = 100;

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in finished::files(workspace, &["rs", "sql", "toml"]) {
        problems.extend(long_lines(path, &workspace.read(path)?));
    }
    Ok(problems)
}

fn long_lines(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && is_limited(path, line) {
            let message = format!("{columns} columns; a line has at most {MAX_COLUMNS}");
            problems.push(Problem::at(path, number, message));
        }
    }
    problems
}

fn is_limited(path: &str, line: &str) -> bool {
    let line = line.trim();
    let (is_comment, text) = match line.split_once(char::is_whitespace) {
        Some(("//" | "///" | "//!" | "--" | "#", text)) => (true, text.trim()),
        _ => (false, line),
    };
    let is_table_row = is_comment && text.starts_with('|');
    let is_one_token = !text.contains(char::is_whitespace);
    (is_comment || !path.ends_with(".rs")) && !is_table_row && !is_one_token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, line: &str) -> usize {
        long_lines(path, &format!("short\n{line}\n")).len()
    }

    #[test]
    fn first_column_over_the_limit_is_reported() {
        let comment = |columns: usize| format!("// {}", "ä ".repeat(columns).trim());
        assert_eq!(lines("a.rs", &comment(49)), 0);
        let problems = long_lines("a.rs", &format!("\n    {}", comment(49)));
        assert_eq!(problems, [Problem::at("a.rs", 2, "104 columns; a line has at most 100")]);
    }

    #[test]
    fn code_is_limited_in_sql_and_toml_only() {
        let code = "a, ".repeat(40);
        assert_eq!(lines("a.rs", &code), 0);
        assert_eq!(lines("a.sql", &code), 1);
        assert_eq!(lines("Cargo.toml", &code), 1);
    }

    #[test]
    fn tokens_and_table_rows_may_be_longer() {
        let url = format!("https://example.com/{}", "x".repeat(100));
        assert_eq!(lines("a.rs", &format!("    /// {url}")), 0);
        assert_eq!(lines("a.rs", &format!("/// see {url}")), 1);
        assert_eq!(lines("a.sql", &format!("-- {url}")), 0);
        assert_eq!(lines("a.rs", &format!("//! | a | {url} |")), 0);
    }
}
