//! Checks that docs/cancel-safety.md names every public future and the test that drops it.

mod list;
mod source;

use std::collections::BTreeSet;

use anyhow::Result;

use self::list::Entry;
use self::source::Source;
use crate::report::Problem;
use crate::workspace::{Package, Workspace};

/// The page with the list.
const PAGE: &str = "docs/cancel-safety.md";

/// Libraries used only in this repository.
const PRIVATE: &[&str] = &["queue-testserver", "queue-examples", "queue-benches"];

/// A future, or a type with async methods, by its name on the page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    package: String,
    /// `function`, `Type::method`, `Trait::method`, or `Type: Trait` for an implementation.
    item: String,
}

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut source = Source::default();
    for package in workspace.packages.iter().filter(|package| is_public(package)) {
        // A public package is in a folder of the same name.
        let folder = format!("{}/src/", package.name);
        for path in workspace.with_extension(&["rs"]).filter(|path| path.starts_with(&folder)) {
            source.read(&package.name, path, &workspace.read(path)?)?;
        }
    }
    let entries = list::read(&workspace.read(PAGE)?);
    let mut functions = BTreeSet::new();
    for path in workspace.with_extension(&["rs"]) {
        functions.extend(functions_of(&workspace.read(path)?).map(str::to_owned));
    }
    Ok(compare(&source.futures(), &entries, &functions))
}

fn is_public(package: &Package) -> bool {
    let is_library = package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "lib"));
    is_library && !PRIVATE.contains(&package.name.as_str())
}

/// The names of the functions in a file, read line by line.
fn functions_of(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let (_, rest) = line.split_once("fn ")?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    })
}

fn compare(found: &[(Name, String)], entries: &[Entry], functions: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut listed = BTreeSet::new();
    for Entry { line, name, .. } in entries {
        if !listed.insert(name) {
            problems.push(Problem::at(PAGE, *line, format!("`{}` is named twice", name.item)));
        }
        if !found.iter().any(|(existing, _)| existing == name) {
            let message = format!("{} has no public future `{}`", name.package, name.item);
            problems.push(Problem::at(PAGE, *line, message));
        }
    }
    for Entry { line, name, tests } in entries {
        if tests.is_empty() {
            problems.push(Problem::at(PAGE, *line, format!("no test drops `{}`", name.item)));
        }
        for test in tests.iter().filter(|test| !functions.contains(*test)) {
            problems.push(Problem::at(PAGE, *line, format!("no such test: `{test}`")));
        }
    }
    for (name, path) in found.iter().filter(|(name, _)| !listed.contains(name)) {
        let message =
            format!("the public future `{}` is not in {PAGE}, with a test that drops it", name.item);
        problems.push(Problem::of(path.as_str(), message));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "
        pub struct Store;
        impl Store {
            pub async fn open() {}
            pub fn close(&self) -> impl Future<Output = ()> { async {} }
            async fn hidden() {}
        }
    ";

    fn problems(page: &str) -> Vec<String> {
        let mut source = Source::default();
        source.read("a", "a/src/lib.rs", CODE).unwrap();
        let functions = functions_of("    async fn it_drops() {\nfn and_this()").map(str::to_owned).collect();
        let problems = compare(&source.futures(), &list::read(page), &functions);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn page_of_this_repository_is_complete() {
        let problems = check(&Workspace::load().unwrap()).unwrap();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn complete_page_has_no_problem() {
        let page = "## `a`\n\n| `Store::open` | x | `it_drops` |\n| `Store::close` | x | `and_this` |\n";
        assert_eq!(problems(page), [""; 0]);
        let together = "## `a`\n| `Store::open`, `Store::close` | x | `and_this`, `it_drops` |\n";
        assert_eq!(problems(together), [""; 0]);
    }

    #[test]
    fn missing_future_is_reported_with_its_file() {
        let page = "## `a`\n| `Store::open` | x | `it_drops` |\n";
        let expected = format!(
            "a/src/lib.rs: the public future `Store::close` is not in {PAGE}, with a test that drops it"
        );
        assert_eq!(problems(page), [expected]);
    }

    #[test]
    fn unknown_future_or_test_is_reported_with_line() {
        let both = "| `Store::open`, `Store::close` | x | `it_drops` |\n";
        let page = format!("## `a`\n{both}| `Store::hidden` | x | `gone` |\n| `Store::open` | x | none |\n");
        let expected = [
            format!("{PAGE}:3: a has no public future `Store::hidden`"),
            format!("{PAGE}:4: `Store::open` is named twice"),
            format!("{PAGE}:3: no such test: `gone`"),
            format!("{PAGE}:4: no test drops `Store::open`"),
        ];
        assert_eq!(problems(&page), expected);
    }
}
