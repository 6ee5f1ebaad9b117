//! Known circles of imports.

/// An import that the check leaves out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excuse {
    /// The folder of the two modules, relative to the root of the repository.
    pub(super) folder: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// Why the import exists.
    #[expect(dead_code, reason = "for the reader of the list")]
    pub(super) reason: &'static str,
}

/// The check reports an entry whose import is no longer part of a circle.
pub(super) const EXCUSED: &[Excuse] = &[
    Excuse {
        folder: "queue-postgres/src",
        from: "catalog",
        to: "rights",
        reason: "`Rights` is in `rights`, which lists the objects of the catalog",
    },
    Excuse {
        folder: "queue-postgres/src",
        from: "url",
        to: "config",
        reason: "`url` fills a `PostgresConfig`, which has a constructor from a URL",
    },
    Excuse {
        folder: "queue-postgres/tests/mutants",
        from: "subject",
        to: "migrating",
        reason: "a subject may stop in a migration",
    },
    Excuse {
        folder: "queue-sqlite/src",
        from: "backup",
        to: "backend",
        reason: "`backup_to` is a method of the backend",
    },
    Excuse {
        folder: "queue-sqlite/src",
        from: "writer",
        to: "prune",
        reason: "a session keeps the position of the sweep",
    },
    Excuse {
        folder: "queue-sqlite/src",
        from: "writer",
        to: "unwritable",
        reason: "a session keeps the rows that cannot be written",
    },
    Excuse {
        folder: "queue-sqlite/tests/mutants",
        from: "subject",
        to: "mutated",
        reason: "a subject opens mutated backends",
    },
    Excuse {
        folder: "queue-testkit/tests/lease_protocol",
        from: "protocol",
        to: "promises",
        reason: "the model names the promises it checks",
    },
];
