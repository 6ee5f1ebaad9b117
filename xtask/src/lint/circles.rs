//! Checks that sibling modules do not import each other in a circle.
//!
//! Modules that import each other can only be understood, tested and changed together. A path
//! counts as an import if it starts with `crate`, `self` or `super` and leads into another module.
//! The check reads `use` declarations, code and macro calls. A name that a parent re-exports counts
//! as the parent's.
//!
//! Parsed with `syn`, as for the check of dropped futures. The dependency `proc-macro2` only
//! enables `span-locations`, without which `syn` has no line numbers.

mod excused;
mod graph;
mod modules;
mod paths;

use std::collections::BTreeMap;

use anyhow::Result;

use self::excused::{EXCUSED, Excuse};
use self::graph::{Circle, Graph, Location};
use self::modules::Crate;
use crate::report::Problem;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut folders = BTreeMap::new();
    for target in workspace.packages.iter().flat_map(|package| &package.targets) {
        // Relative to the root, as tracked files are.
        let Ok(path) = target.src_path.strip_prefix(&workspace.root) else { continue };
        let path = path.to_string_lossy().replace('\\', "/");
        let read = |path: &str| workspace.read(path);
        let exists = |path: &str| workspace.root.join(path).is_file();
        collect(&Crate::read(&path, &read, &exists)?, &mut folders);
    }
    Ok(compare(&folders, EXCUSED))
}

/// Adds the imports between siblings to the graphs of their folders.
fn collect(parsed: &Crate, folders: &mut BTreeMap<String, Graph>) {
    for import in &parsed.imports {
        let target = parsed.module_of(&import.to);
        let shared = import.from.iter().zip(target).take_while(|(a, b)| a == b).count();
        // Otherwise one of the two is inside the other.
        if let (Some(from), Some(to)) = (import.from.get(shared), target.get(shared)) {
            let folder = parsed.folder(&import.from[..shared]);
            let location = Location { path: import.path.clone(), line: import.line };
            folders.entry(folder).or_default().add(from, to, location);
        }
    }
}

fn compare(folders: &BTreeMap<String, Graph>, excused: &[Excuse]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Excuse { folder, from, to, .. } in excused {
        let is_needed = folders.get(*folder).is_some_and(|graph| graph.is_in_circle(from, to));
        if !is_needed {
            let message = format!("the excuse for `{from}` importing `{to}` is no longer needed");
            problems.push(Problem::of(*folder, message));
        }
    }
    for (folder, graph) in folders {
        let of_folder = excused.iter().filter(|excuse| excuse.folder == folder);
        let graph = graph.without(&of_folder.map(|excuse| (excuse.from, excuse.to)).collect());
        problems.extend(graph.circles().iter().map(|circle| problem(folder, circle)));
    }
    problems
}

fn problem(folder: &str, Circle { modules, locations }: &Circle) -> Problem {
    let next = modules.iter().cycle().skip(1);
    let import = |((from, to), location): ((&String, &String), &Location)| {
        format!("`{from}` imports `{to}` ({}:{})", location.path, location.line)
    };
    let imports: Vec<String> = modules.iter().zip(next).zip(locations).map(import).collect();
    Problem::of(folder, format!("circle of imports: {}", imports.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a crate of these files.
    fn check(files: &[(&str, &str)], excused: &[Excuse]) -> Vec<String> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let read = |path: &str| Ok(files[path].to_owned());
        let exists = |path: &str| files.contains_key(path);
        let mut folders = BTreeMap::new();
        collect(&Crate::read("a/src/lib.rs", &read, &exists).unwrap(), &mut folders);
        compare(&folders, excused).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn this_repository_has_no_circle() {
        let problems = super::check(&Workspace::load().unwrap()).unwrap();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [""; 0]);
    }

    const LIB: (&str, &str) = ("a/src/lib.rs", "mod high;\nmod low;");

    #[test]
    fn circle_is_named_with_files_and_lines() {
        let files = [
            LIB,
            ("a/src/high.rs", "//! High.\n\nuse crate::low::Low;"),
            ("a/src/low/mod.rs", "mod deep;\npub struct Low;"),
            ("a/src/low/deep.rs", "fn f() {\n    println!(\"{}\", super::super::high::g());\n}"),
        ];
        let expected = "a/src: circle of imports: `high` imports `low` (a/src/high.rs:3), \
                        `low` imports `high` (a/src/low/deep.rs:2)";
        assert_eq!(check(&files, &[]), [expected]);
    }

    #[test]
    fn imports_of_parents_and_tests_make_no_circle() {
        let test = "pub struct Low;\n#[cfg(test)]\nmod tests { use crate::high::High; }\n\
                    #[cfg(test)]\nuse crate::high::High;\n#[cfg(all(test, feature = \"x\"))]\nmod gone;";
        let high = "use crate::{Error, low::{self, Low}};\nuse super::Result;";
        assert_eq!(check(&[LIB, ("a/src/high.rs", high), ("a/src/low.rs", test)], &[]), [""; 0]);
    }

    #[test]
    fn circle_among_children_belongs_to_their_folder() {
        let files = [
            ("a/src/lib.rs", "mod low;"),
            ("a/src/low.rs", "mod one;\nmod two { mod three { use crate::low::one::f; } }"),
            ("a/src/low/one.rs", "pub fn f() { super::two::g() }"),
        ];
        let found = check(&files, &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("a/src/low: circle of imports: `one` imports `two`"), "{found:?}");
    }

    #[test]
    fn unneeded_excuse_is_reported() {
        let excuse = Excuse { folder: "a/src", from: "low", to: "high", reason: "a test" };
        let high = ("a/src/high.rs", "use crate::low::Low;");
        let circle = [LIB, high, ("a/src/low.rs", "use crate::high::High;")];
        assert_eq!(check(&circle, &[excuse]), [""; 0]);
        let gone = [LIB, high, ("a/src/low.rs", "")];
        let expected = ["a/src: the excuse for `low` importing `high` is no longer needed"];
        assert_eq!(check(&gone, &[excuse]), expected);
    }
}
