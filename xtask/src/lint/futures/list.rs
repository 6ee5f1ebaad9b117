//! Reads the page.

use super::Name;

/// A future on the page.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) name: Name,
    pub(super) tests: Vec<String>,
}

/// Reads the rows of the tables under a heading with the name of a package. The first cell has the
/// futures, the last cell the tests.
pub(super) fn read(page: &str) -> Vec<Entry> {
    let mut package = String::new();
    let mut entries = Vec::new();
    for (line, text) in (1..).zip(page.lines()) {
        if let Some(heading) = text.strip_prefix("## ") {
            package = spans(heading).next().unwrap_or_default().to_owned();
        }
        let Some(row) = text.strip_prefix("| `") else { continue };
        let cells: Vec<&str> = row.trim_end().trim_end_matches('|').split(" | ").collect();
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        let tests: Vec<String> = spans(last).map(str::to_owned).collect();
        for item in spans(&format!("`{first}")) {
            let name = Name { package: package.clone(), item: item.to_owned() };
            entries.push(Entry { line, name, tests: tests.clone() });
        }
    }
    entries
}

/// The texts in backticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
