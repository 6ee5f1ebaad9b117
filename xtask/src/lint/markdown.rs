//! Checks that each path, command, crate, example and conformance case in a Markdown file exists.
//!
//! | written | checked as |
//! |---|---|
//! | `` `queue-core/src/lib.rs` ``, `` `Cargo.toml` ``, `` `*.sql` `` | tracked path, from the root or the file's folder |
//! | `[text](docs/leases.md)` | tracked path, from the file's folder |
//! | `` `queue-core` ``, `` `queue_core::Kind` `` | package of the workspace |
//! | `` `cargo run --example quickstart` ``, or the same in a shell block | the command, its packages and examples |
//! | a word such as q13 with `_` and a name, anywhere | case of the conformance suite |

use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::commands;
use super::names::{Names, case_ids};
use crate::report::Problem;
use crate::workspace::Workspace;

/// A name with one of these endings is a file of this repository, even without a folder.
const FILE_ENDINGS: &[&str] = &["lock", "md", "rs", "sh", "sql", "toml", "yaml", "yml"];

/// A block marked with one of these contains commands. In an unmarked block, only lines that begin
/// with `cargo` are commands.
const SHELLS: &[&str] = &["sh", "bash", "shell", "console"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let names = Names::read(workspace)?;
    let mut problems = Vec::new();
    for path in workspace.with_extension(&["md"]) {
        problems.extend(unresolved(path, &workspace.read(path)?, &names));
    }
    Ok(problems)
}

/// The unresolved names in one file, in the order of their lines.
fn unresolved(file: &str, text: &str, names: &Names) -> Vec<Problem> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut problems = Vec::new();
    for (line, mention) in mentions(text) {
        let found = match &mention {
            Mention::Span(span) => in_span(span, folder, names),
            Mention::Link(target) => in_link(target, folder, names),
            Mention::Shell(command) => in_shell(command, folder, names),
        };
        problems.extend(found.into_iter().map(|message| (line, message)));
    }
    for (line, text) in (1..).zip(text.lines()) {
        let unknown = case_ids(text).filter(|case| !names.cases.contains(*case));
        problems.extend(unknown.map(|case| (line, format!("no such conformance case: {case}"))));
    }
    problems.sort();
    problems.into_iter().map(|(line, message)| Problem::at(file, line, message)).collect()
}

/// A text in a Markdown file that may be a name.
#[derive(Debug, PartialEq, Eq)]
enum Mention {
    Span(String),
    Link(String),
    Shell(String),
}

/// The texts to check, with their lines.
fn mentions(text: &str) -> Vec<(usize, Mention)> {
    let line_at = |position: usize| text[..position].matches('\n').count() + 1;
    let mut mentions = Vec::new();
    let mut block: Option<Block> = None;
    for (event, Range { start, .. }) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let line = line_at(start);
        match event {
            Event::Code(span) => mentions.push((line, Mention::Span(span.into_string()))),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                mentions.push((line, Mention::Link(dest_url.into_string())));
            }
            Event::Start(Tag::CodeBlock(kind)) => block = Some(Block::begin(&kind)),
            Event::Text(code) => {
                if let Some(block) = &mut block {
                    block.lines.extend((line..).zip(code.lines().map(str::to_owned)));
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                mentions.extend(block.take().into_iter().flat_map(Block::commands));
            }
            _ => {}
        }
    }
    mentions
}

/// A code block during parsing.
struct Block {
    language: String,
    lines: Vec<(usize, String)>,
}

impl Block {
    fn begin(kind: &CodeBlockKind<'_>) -> Self {
        let language = match kind {
            CodeBlockKind::Fenced(language) => language.to_string(),
            CodeBlockKind::Indented => String::new(),
        };
        Self { language, lines: Vec::new() }
    }

    /// The commands of the block. Lines joined by `\` are one command.
    fn commands(self) -> Vec<(usize, Mention)> {
        let mut commands: Vec<(usize, String)> = Vec::new();
        let mut continues = false;
        for (number, line) in self.lines {
            let text = line.trim_end_matches('\\');
            match commands.last_mut() {
                Some((_, command)) if continues => command.push_str(text),
                _ => commands.push((number, text.to_owned())),
            }
            continues = line.ends_with('\\');
        }
        let marked = SHELLS.contains(&self.language.as_str());
        let unmarked = self.language.is_empty();
        commands.retain(|(_, line)| marked || unmarked && line.starts_with("cargo "));
        commands.into_iter().map(|(number, line)| (number, Mention::Shell(line))).collect()
    }
}

fn in_span(span: &str, folder: &str, names: &Names) -> Vec<String> {
    if commands::program(span) == Some("cargo") {
        return commands::problems(span, names);
    }
    no_such_package(span, names).or_else(|| no_such_path(span, folder, names)).into_iter().collect()
}

fn in_shell(line: &str, folder: &str, names: &Names) -> Vec<String> {
    let program = commands::program(line).and_then(|program| no_such_path(program, folder, names));
    commands::problems(line, names).into_iter().chain(program).collect()
}

fn in_link(target: &str, folder: &str, names: &Names) -> Vec<String> {
    let path = target.split('#').next().unwrap_or_default();
    let elsewhere = path.contains(':') || path.starts_with('/');
    let leads_nowhere = !path.is_empty() && !elsewhere && !names.has_path_from(folder, path);
    leads_nowhere.then(|| format!("link to a path that is not tracked: {path}")).into_iter().collect()
}

/// `queue-name` must be a package of the workspace or an adapter, and `queue_name::…` a path into
/// one.
fn no_such_package(span: &str, names: &Names) -> Option<String> {
    let package = match span.split_once("::") {
        Some((first, _)) if first.starts_with("queue_") => first.replace('_', "-"),
        None if span.starts_with("queue-") => span.to_owned(),
        _ => return None,
    };
    let shaped = package.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_adapter = names.has_path("", &format!("adapters/{package}"));
    (shaped && !is_adapter && !names.packages.contains(&package))
        .then(|| format!("no such crate in the workspace: {package}"))
}

fn no_such_path(span: &str, folder: &str, names: &Names) -> Option<String> {
    let path = as_path(span)?;
    (!names.has_path(folder, path)).then(|| format!("no such tracked file or folder: {path}"))
}

/// The path in a span, if it looks like a path in this repository.
fn as_path(span: &str) -> Option<&str> {
    // `src/lib.rs:12` names a line of the file.
    let path = match span.rsplit_once(':') {
        Some((path, line)) if line.parse::<u32>().is_ok() => path,
        _ => span,
    };
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/*".contains(&b));
    let lettered = path.bytes().any(|b| b.is_ascii_alphabetic());
    let ending = Path::new(path).extension().and_then(|ending| ending.to_str());
    let named = path.contains('/') || ending.is_some_and(|ending| FILE_ENDINGS.contains(&ending));
    let elsewhere = ["/", "target/"].iter().any(|start| path.starts_with(start));
    let rate = path.ends_with("/s");
    (plain && lettered && named && !elsewhere && !rate).then_some(path)
}

#[cfg(test)]
mod tests;
