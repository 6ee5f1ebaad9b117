//! Which program a schedule belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A program, and the revision of it that runs. Workers take it: `Worker::deployment`.
///
/// A schedule that a worker with a deployment declares belongs to the program. An older revision
/// does not change it, and does not bring it back after it was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deployment {
    /// The name of the program. Programs with other schedules need other names.
    pub program: String,
    /// A number that grows with each deployment, also with one of older code.
    pub revision: u64,
}

impl Deployment {
    /// Creates the deployment of this program and revision.
    pub fn new(program: impl Into<String>, revision: u64) -> Self {
        Self { program: program.into(), revision }
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (revision {})", self.program, self.revision)
    }
}
