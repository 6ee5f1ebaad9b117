//! The names that a Markdown file may use.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::workspace::Workspace;

/// The folder of the conformance cases.
const CASES: &str = "queue-testkit/src/";

/// All names in the repository.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tracked files and their folders.
    pub(super) paths: BTreeSet<String>,
    pub(super) packages: BTreeSet<String>,
    pub(super) examples: BTreeSet<String>,
    /// Conformance cases, such as a function named for promise 13 and what it shows.
    pub(super) cases: BTreeSet<String>,
}

impl Names {
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let mut names = Self::default();
        for path in &workspace.tracked {
            names.add_path(path);
        }
        for package in &workspace.packages {
            names.packages.insert(package.name.clone());
            let examples =
                package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "example"));
            names.examples.extend(examples.map(|target| target.name.clone()));
        }
        for path in workspace.with_extension(&["rs"]).filter(|path| path.starts_with(CASES)) {
            names.add_cases(&workspace.read(path)?);
        }
        Ok(names)
    }

    pub(super) fn add_path(&mut self, file: &str) {
        let folders = file.match_indices('/').map(|(end, _)| file[..end].to_owned());
        self.paths.extend(folders);
        self.paths.insert(file.to_owned());
    }

    /// Adds the case names of Rust code. Ignores comments, because a comment registers no case. An
    /// unregistered function is dead code, which the compiler reports.
    pub(super) fn add_cases(&mut self, code: &str) {
        let without_comments = code.lines().filter_map(|line| line.split("//").next());
        self.cases.extend(without_comments.flat_map(case_ids).map(str::to_owned));
    }

    /// Whether a path is tracked, relative to the root or to `folder`.
    ///
    /// `*` matches any part of one name. A pattern without a folder matches in every folder.
    pub(super) fn has_path(&self, folder: &str, path: &str) -> bool {
        if path.contains('*') && !path.contains('/') {
            let mut file_names = self.paths.iter().filter_map(|path| path.rsplit('/').next());
            return file_names.any(|name| part_matches(path, name));
        }
        [folder, ""].iter().any(|base| self.has_path_from(base, path))
    }

    /// Whether a path is tracked relative to `base`, as for a link in a file there.
    pub(super) fn has_path_from(&self, base: &str, path: &str) -> bool {
        let Some(wanted) = resolve(base, path) else { return false };
        wanted.is_empty() || self.paths.contains(&wanted) || self.matches_pattern(&wanted)
    }

    fn matches_pattern(&self, pattern: &str) -> bool {
        let matches = |path: &String| {
            path.split('/').count() == pattern.split('/').count()
                && pattern.split('/').zip(path.split('/')).all(|(wanted, name)| part_matches(wanted, name))
        };
        pattern.contains('*') && self.paths.iter().any(matches)
    }
}

/// The words of a text that have the form of a conformance case's name.
pub(super) fn case_ids(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| is_case_id(word))
}

/// `q`, one or two digits, `_`, and small letters, digits or `_`.
fn is_case_id(word: &str) -> bool {
    let Some((promise, name)) = word.strip_prefix('q').and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    let numbered = (1..=2).contains(&promise.len()) && promise.bytes().all(|b| b.is_ascii_digit());
    let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    numbered && !name.is_empty() && name.bytes().all(small)
}

/// Joins the paths and removes `.` and `..`. `None` if the result is outside the repository.
fn resolve(base: &str, path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn part_matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(head) else { return false };
    (0..=rest.len()).any(|skipped| rest.get(skipped..).is_some_and(|rest| part_matches(tail, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Names {
        let mut names = Names::default();
        for file in [
            "README.md",
            "queue-core/src/lib.rs",
            "queue-core/docs/leases.md",
            "queue-sqlite/src/sql/claim.sql",
        ] {
            names.add_path(file);
        }
        names
    }

    #[test]
    fn path_is_relative_to_root_or_folder() {
        let names = tree();
        for path in [
            "README.md",
            "queue-core",
            "queue-core/",
            "./queue-core/src/lib.rs",
            "leases.md",
            "../src/lib.rs",
        ] {
            assert!(names.has_path("queue-core/docs", path), "{path}");
        }
        for path in ["lib.rs", "src/lib.rs", "queue-core/src/main.rs", "../../../README.md", "queue-cor"] {
            assert!(!names.has_path("queue-core/docs", path), "{path}");
        }
    }

    #[test]
    fn star_matches_a_part_of_one_name() {
        let names = tree();
        for path in ["*.sql", "queue-*/src/lib.rs", "queue-sqlite/src/sql/*.sql", "queue-core/*/le*s.md"] {
            assert!(names.has_path("", path), "{path}");
        }
        for path in ["*.toml", "queue-sqlite/*.sql", "queue-*/src/main.rs"] {
            assert!(!names.has_path("", path), "{path}");
        }
    }

    #[test]
    fn case_names_are_recognised_by_form() {
        let text = "q1_a, `q13_head_claim_2` Q1 q1 q123_a q1_ q1_Big queue_name seq1_a q_a q7_x.";
        assert_eq!(case_ids(text).collect::<Vec<_>>(), ["q1_a", "q13_head_claim_2", "q7_x"]);
    }

    #[test]
    fn comment_registers_no_case() {
        let mut names = Names::default();
        names.add_cases("/// Unlike q1_old.\nasync fn q2_new() {} // not q3_maybe\n");
        assert_eq!(names.cases.into_iter().collect::<Vec<_>>(), ["q2_new"]);
    }
}
