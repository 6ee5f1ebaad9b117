//! The part of the workspace to which the checks of language apply.
//!
//! A crate is added to [`FINISHED`] when all its texts pass [`columns`](super::columns) and
//! [`words`](super::words).

use crate::workspace::Workspace;

/// Folders and files whose texts are checked.
const FINISHED: &[&str] = &[
    "Cargo.toml",
    "adapters/",
    "benches/",
    "examples/",
    "queue-core/",
    "queue-macros/",
    "queue-postgres/",
    "queue-schedule/",
    "queue-sqlite/",
    "queue/",
    "testserver/",
    "xtask/",
];

/// The finished files with one of these extensions.
pub(super) fn files<'a>(workspace: &'a Workspace, extensions: &[&str]) -> impl Iterator<Item = &'a str> {
    workspace.with_extension(extensions).filter(|path| is_finished(path))
}

fn is_finished(path: &str) -> bool {
    FINISHED.iter().any(|start| path.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_crate_is_skipped() {
        assert!(is_finished("queue-sqlite/src/lib.rs"));
        assert!(!is_finished("queue-testkit/src/lib.rs"));
    }

    #[test]
    fn each_entry_exists() {
        let tracked = Workspace::load().unwrap().tracked;
        for entry in FINISHED {
            assert!(tracked.iter().any(|path| path.starts_with(entry)), "{entry}");
        }
    }
}
