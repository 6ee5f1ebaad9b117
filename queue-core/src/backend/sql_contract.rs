//! The SQL by which other drivers enqueue and complete jobs.

use super::WakeHints;

/// Enqueueing and completing jobs by the driver of an application, in its own transaction. The
/// statement that enqueues is the SQL contract (`docs/sql-contract.md` in the repository), which a
/// backend implements in its schema.
pub trait SqlContract: Send + Sync {
    /// Returns the statements and the storage that they write.
    fn target(&self) -> SqlTarget;

    /// Wakes the workers of all processes for these jobs. It is called after the commit of a
    /// transaction that notified no worker itself.
    fn wake(&self, hints: &WakeHints);
}

/// The statements, and the storage that they write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlTarget {
    /// The database, which the driver's transaction must belong to.
    pub dialect: SqlDialect,
    /// Enqueues a batch. Its only parameter is the JSON text.
    pub enqueue: String,
    /// Completes the job of a lease and enqueues its follow-ups. Its only parameter is the JSON
    /// text, which has three more fields: `job` and `claim`, each as 32 hexadecimal digits, and
    /// `result`, a string or null. If the lease is lost, it fails with a message that contains "the
    /// lease is lost", and on PostgreSQL with SQLSTATE 55000.
    pub complete: String,
    /// Reads `id` (16 bytes) and `insertion` of the jobs of the batch, in the order of the text. On
    /// PostgreSQL it is empty, because the first statement returns both.
    pub read: String,
    /// The id of the storage. `None` if the role may not read it.
    pub storage: Option<String>,
}

impl SqlTarget {
    /// Creates a target.
    #[must_use]
    pub fn new(
        dialect: SqlDialect,
        enqueue: impl Into<String>,
        complete: impl Into<String>,
        read: impl Into<String>,
    ) -> Self {
        Self { dialect, enqueue: enqueue.into(), complete: complete.into(), read: read.into(), storage: None }
    }

    /// Sets the id of the storage.
    #[must_use]
    pub fn storage(mut self, storage: Option<String>) -> Self {
        self.storage = storage;
        self
    }
}

/// A database of the SQL contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlDialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl SqlDialect {
    /// Returns the name, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }
}
