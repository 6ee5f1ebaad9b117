//! Which program a schedule belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A program, and the revision of it that declared a schedule: see `Worker::deployment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deployment {
    /// The name of the program. Programs with other schedules need other names.
    pub program: String,
    /// A number that grows with each deployment, also with one of older code.
    pub revision: u64,
}

impl Deployment {
    #[cfg(feature = "runtime")]
    pub(crate) fn new(program: impl Into<String>, revision: u64) -> Self {
        Self { program: program.into(), revision }
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (revision {})", self.program, self.revision)
    }
}
