//! The part of the workspace to which the checks of language apply.
//!
//! A crate is added to [`FINISHED`] when all its texts pass [`columns`](super::columns) and
//! [`words`](super::words).

use crate::workspace::Workspace;

/// Folders and files whose texts are checked.
const FINISHED: &[&str] = &[
    "Cargo.toml",
    "benches/",
    "examples/",
    "queue-core/",
    "queue-postgres/",
    "queue-sqlite/",
    "queue/",
    "testserver/",
    "xtask/",
];

/// Folders and files within [`FINISHED`] whose texts are not finished.
const UNFINISHED: &[&str] = &[
    "queue-sqlite/src/claim.rs",
    "queue-sqlite/src/insert.rs",
    "queue-sqlite/src/lists.rs",
    "queue-sqlite/src/migrate.rs",
    "queue-sqlite/src/sql/claim_pick.sql",
    "queue-sqlite/src/sql/ledger_exists.sql",
    "queue-sqlite/src/wake.rs",
];

/// The finished files with one of these extensions.
pub(super) fn files<'a>(workspace: &'a Workspace, extensions: &[&str]) -> impl Iterator<Item = &'a str> {
    workspace.with_extension(extensions).filter(|path| is_finished(path))
}

fn is_finished(path: &str) -> bool {
    let is_in = |paths: &[&str]| paths.iter().any(|start| path.starts_with(start));
    is_in(FINISHED) && !is_in(UNFINISHED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_part_of_a_finished_crate_is_skipped() {
        assert!(is_finished("queue-sqlite/src/lib.rs"));
        assert!(!is_finished("queue-sqlite/src/wake.rs"));
        assert!(!is_finished("queue-testkit/src/lib.rs"));
    }

    #[test]
    fn each_entry_exists() {
        let tracked = Workspace::load().unwrap().tracked;
        for entry in FINISHED.iter().chain(UNFINISHED) {
            assert!(tracked.iter().any(|path| path.starts_with(entry)), "{entry}");
        }
    }
}
