//! `cargo xtask lint`: runs all checks that do not run the code. It changes nothing.

mod circles;
mod columns;
mod commands;
mod compiler;
mod feature_sets;
mod finished;
mod format;
mod futures;
mod kept_apart;
mod markdown;
mod names;
mod published;
mod source;
mod words;

use anyhow::Result;

use crate::report::Report;
use crate::workspace::Workspace;

/// Runs every check, quick ones first, and fails at the end if any found a problem. With `quick`,
/// runs only the checks that compile nothing.
pub(crate) fn run(quick: bool) -> Result<()> {
    let workspace = Workspace::load()?;
    let mut report = Report::begin("lint");
    report.step("source files", || source::check(&workspace));
    report.step("columns", || columns::check(&workspace));
    report.step("words", || words::check(&workspace));
    report.step("names in Markdown", || markdown::check(&workspace));
    report.step("dropped futures", || futures::check(&workspace));
    report.step("circles of imports", || circles::check(&workspace));
    report.step("rustfmt", || format::check(&workspace));
    report.step("dependencies kept apart", kept_apart::check);
    if quick {
        return report.finish();
    }
    report.step("clippy", compiler::clippy);
    report.step("rustdoc", compiler::rustdoc);
    report.step("cargo package", || published::package(&workspace));
    report.step("oldest Rust", || published::oldest_rust(&workspace));
    report.step("cargo deny", published::dependencies);
    for set in feature_sets::of(&workspace.packages) {
        report.step(&format!("cargo check: {set}"), || set.check());
    }
    report.finish()
}
