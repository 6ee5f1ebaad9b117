//! The result of a submission.

use crate::JobId;

/// The result of one submitted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submitted {
    /// The job's id, or that of the job that holds its unique key.
    pub id: JobId,
    /// Whether the job was inserted.
    pub insertion: Insertion,
}

impl Submitted {
    /// Creates the result for a job.
    #[must_use]
    pub const fn new(id: JobId, insertion: Insertion) -> Self {
        Self { id, insertion }
    }

    /// Returns whether this call inserted the job.
    #[must_use]
    pub const fn is_new(self) -> bool {
        matches!(self.insertion, Insertion::New)
    }
}

/// Whether a submitted job was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// This call inserted the job.
    New,
    /// The same job, with the same id, was stored already. Nothing was changed.
    Known,
    /// Another job holds the unique key. Nothing was changed.
    Duplicate,
}
