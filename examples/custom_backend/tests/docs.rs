//! Checks the pages on writing a backend: the code of the guide, and the variables of the suite.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The pages whose code must be that of the examples.
const PAGES: [&str; 3] =
    ["docs/writing-a-backend.md", "docs/errors-and-faults.md", "docs/types-of-the-contract.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the text of a file, or an empty text if there is no such file.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Returns the lines of a text without their indentation, which a page may change.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Returns each block of Rust with the file that the comment before it names.
fn snippets(page: &str) -> Vec<(Option<&str>, &str)> {
    let blocks = page.match_indices("```rust\n").map(|(start, fence)| (start, start + fence.len()));
    let snippet = |(start, code): (usize, usize)| {
        let before = page[..start].lines().last().unwrap_or_default();
        let source = before.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        (source, page[code..].split("```").next().unwrap_or_default())
    };
    blocks.map(snippet).collect()
}

#[test]
fn guide_code_equals_the_example() {
    let pages = PAGES.map(read);
    let snippets: Vec<_> = pages.iter().flat_map(|page| snippets(page)).collect();
    assert!(snippets.len() >= 12, "only {} blocks of code were found", snippets.len());
    for (source, code) in snippets {
        let source = source.unwrap_or_else(|| panic!("no comment names the file of this code:\n{code}"));
        let file = read(source);
        let (file, code) = (lines(&file), lines(code));
        let is_there = file.windows(code.len()).any(|part| part == code);
        assert!(is_there, "{source} does not hold:\n{}", code.join("\n"));
    }
}

/// The third column has the constructors. Each must be in code that is compiled.
#[test]
fn types_page_names_constructors_that_exist() {
    let page = read("docs/types-of-the-contract.md");
    let files = ["tests/stored_forms.rs", "src/rows/attempts.rs"];
    let code = files.map(|file| read(&format!("examples/custom_backend/{file}"))).concat();
    let cells = page.lines().filter_map(|line| line.split(" | ").nth(2));
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>());
    let constructors: Vec<&str> = spans.filter(|span| span.contains("::")).collect();
    assert!(constructors.len() >= 10, "only {constructors:?} were found");
    for constructor in constructors {
        assert!(code.contains(&format!("{constructor}(")), "`{constructor}` is not used");
    }
}

#[test]
fn ci_page_names_exactly_the_suite_variables() {
    let named = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        words.filter(|word| word.starts_with("QUEUE_TEST_")).map(str::to_owned).collect()
    };
    let read_by_the_suite = named(&read("queue-testkit/src/conformance/settings.rs"));
    assert!(read_by_the_suite.contains("QUEUE_TEST_SEED"));
    assert_eq!(named(&read("docs/conformance-in-ci.md")), read_by_the_suite);
}
